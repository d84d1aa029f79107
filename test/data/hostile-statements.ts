import { contextOf } from "../support/tenants.ts";

const A = contextOf("a").tenant.uuid;
const B = contextOf("b").tenant.uuid;

/** One statement a line. */
function lines(text: string): string[] {
  return text
    .trim()
    .split("\n")
    .map((line) => line.trim());
}

/** Statements that act on the session, the schema or other sessions: a tenant's handle takes none of them, however they are dressed. */
export const NOT_DATA_STATEMENTS: readonly string[] = [
  "",
  " ",
  ";",
  "--",
  "-- select",
  "/* select */",
  "()",
  "((",
  "$1",
  "1",
  "'select 1'",
  "sélect 1",
  "selec 1",
  "\u00a0select 1",
  "\u2003select 1",
  "\ufeffselect 1",
  "\u200bselect 1",
  "\vselect 1",
  "ѕelect 1",
  "select\u00a01",
  "selectıon 1",
  `set app.tenant_id = '${B}'`,
  `SET LOCAL app.tenant_id TO '${B}'`,
  `sEt SeSsIoN app.tenant_id = '${B}'`,
  "set role none",
  ...lines(`
    set local role postgres
    set session authorization postgres
    set row_security = off
    set local statement_timeout = 0
    set search_path = pg_temp
    set transaction read only
    set constraints all deferred
    set session characteristics as transaction read only
    reset role
    reset all
    reset session authorization
    discard all
    discard plans
    discard temp
    show all
    show app.tenant_id
    begin
    start transaction
    commit
    end
    rollback
    abort
    savepoint x
    release x
    rollback to x
    prepare transaction 'x'
    commit prepared 'x'
    commit and chain
    prepare p as select 1
    execute p
    deallocate all
    declare c cursor for select 1
    fetch all from c
    move c
    close all
    listen freehold_events
    unlisten *
    notify freehold_events, 'x'
    lock documents
    copy documents to stdout
    copy documents from stdin
    copy (select 1) to program 'id'
    do $$ begin end $$
    call freehold.enter('x')
    table documents
    (table documents)
    explain select 1
    explain analyze delete from documents
    truncate documents
    create table t (a int)
    create temp table t as select 1
    create function f() returns int language sql as 'select 1'
    alter table documents disable row level security
    alter role current_user superuser
    drop table documents
    drop policy tenant on documents
    grant all on documents to public
    revoke all on documents from public
    reassign owned by current_user to postgres
    drop owned by current_user
    security label on table t is 'x'
    comment on table t is 'x'
    refresh materialized view m
    import foreign schema s from server x into y
    load 'x'
    vacuum
    analyze
    analyze documents
    reindex table documents
    cluster
    checkpoint
    alter system set fsync = off
    create extension dblink
    withx as (select 1) select 1`),
  "select1",
  "selecto from x",
  "select_ 1",
  "select$ 1",
  "select2 1",
  "valuesx (1)",
  "update_ x",
  "merge2 into x",
  "insert\u0301 into x",
  // block comments hide where the statement begins
  `/**/set app.tenant_id = '${B}'`,
  `/* select */ set app.tenant_id = '${B}'`,
  "/* /* */ select 1",
  "/* */ select 1",
  // a line comment ends at a carriage return too
  `--\rset app.tenant_id = '${B}' /*\nselect */`,
  `-- x\rreset role --\nselect 1`,
  `\r--\rcommit --\n select 1`,
  `--\r\rset role none --\nselect`,
  `--\u2028set role none\nset role none`,
  `--\nset role none`,
  `--\n--\n\tset role none`,
  `( set role none)`,
  // a NUL ends the text on its way to the engine
  "select 1\0; set role none",
  "\0select 1",
  "select 1\0",
];

/** Two statements in one text: the engine takes one. */
export const JOINED_STATEMENTS: readonly string[] = [
  `select 1; set app.tenant_id = '${B}'`,
  `select 1; set app.tenant_id = '${B}'; select title from documents`,
  "select 1; commit",
  "select 1 ; ; reset role",
  `select 1; select set_config('app.tenant_id', '${B}', false)`,
  "with x as (select 1) select 1; begin",
  "values (1); discard all",
  "select 1 -- x\n; rollback",
];

/** Expressions with an effect outside the statement, or that show what is not the tenant's: none may be evaluated by a tenant. */
export const CLOSED_EXPRESSIONS: readonly string[] = [
  // the tenant in force, and other settings
  ...[true, false].flatMap((local) => [
    `set_config('app.tenant_id', '${B}', ${local})`,
    `pg_catalog.set_config('role', 'none', ${local})`,
    `set_config('row_security', 'off', ${local})`,
    `set_config('statement_timeout', '0', ${local})`,
    `set_config('search_path', 'pg_temp', ${local})`,
    `set_config('session_authorization', 'postgres', ${local})`,
  ]),
  // SQL inside an expression
  `query_to_xml('select set_config(''app.tenant_id'', ''${B}'', true)', true, true, '')`,
  "query_to_xmlschema('select 1', true, true, '')",
  "query_to_xml_and_xmlschema('select 1', true, true, '')",
  "table_to_xml('documents', true, true, '')",
  "schema_to_xml('freehold', true, true, '')",
  "database_to_xml(true, true, '')",
  "cursor_to_xml('c', 1, true, true, '')",
  "(select count(*) from ts_stat('select words from points'))",
  "ts_rewrite('a'::tsquery, 'select ''a''::tsquery, ''b''::tsquery')",
  // other sessions, locks, messages
  "pg_notify('freehold_registry', 'x')",
  "pg_terminate_backend(pg_backend_pid())",
  "pg_cancel_backend(pg_backend_pid())",
  "pg_log_backend_memory_contexts(pg_backend_pid())",
  ...lines(`
    pg_advisory_lock(7160242019)
    pg_try_advisory_lock(1)
    pg_advisory_xact_lock(1)
    pg_try_advisory_xact_lock_shared(1, 2)
    pg_advisory_unlock_all()
    pg_sleep(0)
    pg_sleep_for('1 us')
    pg_sleep_until(now())
    pg_blocking_pids(1)
    pg_stat_get_activity(null)
    pg_stat_get_backend_activity(1)
    pg_stat_get_backend_pid(1)
    pg_stat_get_live_tuples(1259)
    pg_stat_get_tuples_inserted(1259)
    pg_stat_get_db_xact_commit(1)
    pg_stat_clear_snapshot()
    pg_stat_reset()
    pg_lock_status()
    pg_listening_channels()
    pg_notification_queue_usage()
    pg_prepared_statement()
    pg_cursor()`),
  // what outlives the statement
  ...lines(`
    lo_create(0)
    lo_creat(-1)
    lo_from_bytea(0, 'x')
    lo_get(1)
    lo_put(1, 0, 'x')
    lo_unlink(1)
    lo_open(1, 1)
    lo_import('/etc/passwd')
    lo_export(1, '/tmp/x')
    loread(1, 1)
    lowrite(1, 'x')
    nextval('freehold.outbox_seq_seq')
    currval('freehold.outbox_seq_seq')
    setval('freehold.outbox_seq_seq', 1)
    lastval()
    setseed(0)`),
  // the server
  ...lines(`
    pg_reload_conf()
    pg_rotate_logfile()
    pg_switch_wal()
    pg_create_restore_point('x')
    pg_promote()
    pg_logical_emit_message(true, 'x', 'y')
    pg_create_physical_replication_slot('x')
    pg_create_logical_replication_slot('x', 'y')
    pg_replication_origin_create('x')
    pg_export_snapshot()
    pg_current_wal_lsn()
    pg_read_file('/etc/passwd')
    pg_read_binary_file('PG_VERSION')
    pg_ls_dir('.')
    pg_stat_file('PG_VERSION')
    pg_ls_logdir()
    pg_ls_tmpdir()
    pg_relation_size('documents')
    pg_total_relation_size('documents')
    pg_database_size(current_database())
    pg_import_system_collations('pg_catalog')
    pg_backup_start('x')
    pg_xact_status('3')
    brin_summarize_new_values('pg_class_oid_index')`),
];

/** Reads of what is the platform's, the engine's or everybody's. */
export const CLOSED_READS: readonly string[] = [
  ...lines(`
    freehold.tenants
    freehold.plans
    freehold.tenant_domains
    freehold.tenant_secrets
    freehold.api_keys
    freehold.registry_changes
    freehold.outbox
    freehold_private.context_key
    freehold.outbox_seq_seq
    pg_authid
    pg_shadow
    pg_statistic
    pg_statistic_ext_data
    pg_largeobject
    pg_largeobject_metadata
    pg_hba_file_rules
    pg_stat_activity
    pg_stat_user_tables
    pg_stat_all_indexes
    pg_statio_user_tables
    pg_stat_database
    pg_stat_replication
    pg_stat_ssl
    pg_locks
    pg_prepared_statements
    pg_cursors
    pg_prepared_xacts
    pg_sequences
    pg_file_settings
    pg_config
    pg_user_mapping
    pg_backend_memory_contexts
    pg_shmem_allocations
    pg_replication_origin_status`),
].map((relation) => `select * from ${relation}`);

/** Changes of what is not the tenant's to change. */
export const CLOSED_WRITES: readonly string[] = [
  `insert into documents (tenant_id, id, title, body, created_by) values ('${B}', 'spy', '', '', '')`,
  `insert into documents (tenant_id, id, title, body, created_by) values ('${B}', 'doc-1', '', '', '') on conflict do nothing`,
  `insert into documents (tenant_id, id, title, body, created_by) values ('${B}', 'doc-1', '', '', '')
     on conflict (tenant_id, id) do update set title = excluded.title returning *`,
  `update documents set tenant_id = '${B}'`,
  `merge into documents d using (values (1)) v on false
     when not matched then insert (tenant_id, id, title, body, created_by) values ('${B}', 'spy', '', '', '')`,
  `with moved as (update users set tenant_id = '${B}' returning *) select * from moved`,
  `insert into messages (tenant_id, session_id, seq, id, role, body) values ('${B}', 'session-1', 2, '${A}', 'user', 'x')`,
  `insert into freehold.audit_entries (tenant_id, id, action, reason, request_id, source) values ('${A}', '${A}', 'x', 'x', 'x', 'x')`,
  "update freehold.audit_entries set action = 'x'",
  "delete from freehold.audit_entries",
  "update freehold.migrations set digest = 'x'",
  "select * from freehold.migrations for update",
  "insert into freehold.tenants (uuid, id, plan, status, document) select gen_random_uuid(), 'x', 'x', 'active', '{}'",
  "update pg_settings set setting = 'x' where name = 'app.tenant_id'",
  "update pg_catalog.pg_class set relrowsecurity = false",
  "insert into pg_catalog.pg_policy default values",
  "delete from pg_catalog.pg_policy",
  "update pg_catalog.pg_proc set provolatile = 'i'",
  "select 1 as x into freehold.mine",
  "select 1 as x into pg_temp.mine",
  "select 1 as x into temp mine",
  "select 1 as x into unlogged public.mine",
];

/** Statements that are allowed and must give nothing of tenant b, whatever way they ask. */
export const PRYING_STATEMENTS: readonly string[] = [
  `select * from documents where tenant_id = '${B}'`,
  "select * from documents where true or tenant_id is not null",
  `select * from documents d, users u where d.tenant_id = '${B}' or u.tenant_id = '${B}'`,
  "select tableoid, ctid, xmin, d from documents d",
  "select * from only documents",
  "select * from documents tablesample system (100)",
  "select json_agg(d), xmlagg(xmlelement(name x, d.body)), string_agg(body, ',') over () from documents d group by body",
  "select * from messages m full join sessions s on true",
  "select (select string_agg(title, ',') from documents x where x.tenant_id <> d.tenant_id) from documents d",
  "select * from documents d, lateral (select * from users u where u.tenant_id <> d.tenant_id) x",
  "select * from documents for update",
  "select * from documents for key share skip locked",
  "select * from xmltable('/a' passing (select xmlelement(name a, string_agg(body, '')) from documents) columns x text path '.')",
  "select jsonb_path_query(to_jsonb(d), '$.**') from documents d",
  `with recursive r as (select id, 1 n from documents union all select r.id, n + 1 from r where n < 3) select * from r`,
  `with x as (update documents set body = 'b' where tenant_id = '${B}' returning *) select * from x`,
  `delete from documents where tenant_id = '${B}' returning *`,
  `update documents d set body = o.body from documents o where o.tenant_id = '${B}' returning *`,
  `merge into documents d using documents o on d.tenant_id = '${B}' when matched then delete`,
  `insert into documents (tenant_id, id, title, body, created_by)
     select '${A}', 'copy-' || id, title, body, 'x' from documents where tenant_id = '${B}' returning *`,
  `insert into freehold.outbox (tenant_id, id, topic, partition_key, envelope) values ('${A}', gen_random_uuid(), 'x', 'x', 'x')`,
  // errors as a channel: the row that would tell is never looked at
  `select 1 / (case when tenant_id = '${B}' then 0 else 1 end) from documents`,
  "select body::integer from documents where body like '%CANARY%'",
  "select (title || body)::uuid from documents where tenant_id::text <> current_setting('app.tenant_id')",
  "select cast(to_jsonb(d) ->> 'body' as integer) from documents d where body ~ 'CANARY'",
  "select * from documents where body = any (array(select 'CANARY' || n from generate_series(1, 1000) n))",
  `select * from documents where tenant_id in (${Array.from({ length: 500 }, () => `'${B}'`).join(", ")})`,
  "select enum_range(null::documents)",
  "select row_security_active('documents'), freehold.tenant(), current_user, session_user",
  // the catalog
  "select * from pg_stats",
  "select * from pg_stats_ext",
  "select attname, n_distinct, most_common_vals, histogram_bounds from pg_stats where schemaname = 'freehold'",
  "select * from pg_settings",
  "select pg_get_functiondef('freehold.enter'::regproc), pg_get_viewdef('pg_stat_activity'::regclass)",
  "select * from information_schema.tables",
  "select * from information_schema.columns where table_schema = 'freehold'",
  "select * from pg_roles, pg_database",
  "select * from pg_policies, pg_namespace",
  "select has_table_privilege('freehold.api_keys', 'select'), has_schema_privilege('freehold_private', 'usage')",
  "select to_regclass('pg_catalog.pg_authid'), 'freehold.tenants'::regclass, to_regrole('postgres')",
  "select * from pg_proc where proname = 'set_config'",
  "select relname, relkind, relrowsecurity from pg_class",
  "select current_setting('app.tenant_id'), current_setting('role'), current_setting('data_directory', true)",
  "select inet_server_addr(), version(), pg_backend_pid(), txid_current(), pg_current_snapshot()",
  "select null::freehold.tenants, null::freehold.api_keys",
];
