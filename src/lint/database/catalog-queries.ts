/** Namespaces of the engine itself. */
const SYSTEM = "('pg_catalog', 'information_schema', 'pg_toast')";
const USER_SCHEMA = `n.nspname not in ${SYSTEM} and n.nspname !~ '^pg_(?:temp|toast_temp)_'`;
const QUALIFIED = "pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident";
const fromExtension = (catalog: string, id: string): string =>
  `exists (select from pg_depend e where e.classid = '${catalog}'::regclass and e.objid = ${id} and e.deptype = 'e')`;
const exploded = (acl: string, kind: string, owner: string): string => `aclexplode(coalesce(${acl}, acldefault(${kind}, ${owner}))) a`;
const positions = (vector: string): string => `string_to_array(${vector}::text, ' ')::int[]`;

/**
 * Functions of the engine whose use by a tenant's role a rule is about. By name, as a later version can only add to them. That one of the
 * text operators' functions was marked leakproof is seen by the mark.
 */
export const NOTABLE_FUNCTIONS = {
  setting: ["set_config"],
  largeObjects: ["lo_creat", "lo_create", "lo_from_bytea", "lo_get", "lo_put", "lo_open", "loread", "lo_unlink", "lo_import", "lo_export"],
  shared: ["pg_notify", "pg_advisory_lock", "pg_advisory_xact_lock", "pg_try_advisory_lock", "pg_try_advisory_xact_lock"],
  sessions: ["pg_stat_get_activity", "pg_terminate_backend", "pg_cancel_backend"],
  files: ["pg_read_file", "pg_read_binary_file", "pg_ls_dir", "pg_stat_file"],
  textual: ["query_to_xml", "query_to_xml_and_xmlschema", "cursor_to_xml", "table_to_xml", "schema_to_xml", "database_to_xml", "ts_stat"],
  leaky: ["ts_match_vq", "ts_match_qv", "textlike", "texticlike", "textregexeq", "texticregexeq", "jsonb_contains", "arraycontains"],
} as const;

/** One statement per part of the catalog. All run as any role; what one may not see, the reader leaves out. */
export const CATALOG_QUERIES = {
  database: `select oid::text as id, quote_ident(datname) as name, datname as plain, datdba::text as owner,
    current_setting('server_version_num')::int as version from pg_database where datname = current_database()`,
  roles: `select oid::text as id, rolname as name, rolsuper as superuser, rolbypassrls as bypass, rolcanlogin as login,
    rolcreaterole as "createRole", rolcreatedb as "createDatabase", rolreplication as replication from pg_roles order by rolname`,
  memberships: `select member::text as member, roleid::text as of from pg_auth_members`,
  schemas: `select n.oid::text as id, quote_ident(n.nspname) as name, n.nspname as plain, n.nspowner::text as owner
    from pg_namespace n where ${USER_SCHEMA} order by n.nspname`,
  relations: `select c.oid::text as id, ${QUALIFIED}(c.relname) as name, n.nspname || '.' || c.relname as plain, c.relowner::text as owner,
    n.oid::text as schema, c.relkind::text as kind, c.relrowsecurity as "rowSecurity", c.relforcerowsecurity as forced,
    coalesce(c.reloptions::text[] && array['security_invoker=true', 'security_invoker=on', 'security_invoker=1'], false) as invoker,
    array(select i.inhparent::text from pg_inherits i where i.inhrelid = c.oid) as parents,
    ${fromExtension("pg_class", "c.oid")} as extension
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${USER_SCHEMA} order by 3`,
  columns: `select t.attrelid::text as relation, t.attnum::int as position, t.attname as name, format_type(t.atttypid, t.atttypmod) as type,
    t.attnotnull as required, case when t.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end as default
    from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace
    left join pg_attrdef d on d.adrelid = t.attrelid and d.adnum = t.attnum
    where t.attnum > 0 and not t.attisdropped and c.relkind in ('r', 'p') and ${USER_SCHEMA}`,
  policies: `select polrelid::text as relation, polname as name, polpermissive as permissive, polcmd::text as command,
    polroles::oid[]::text[] as roles, pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as check
    from pg_policy order by polrelid, polname`,
  indexes: `select x.indrelid::text as relation, ${QUALIFIED}(i.relname) as name, x.indisprimary as primary, x.indisexclusion as exclusion,
    ${positions("x.indkey")} as keys, pg_get_indexdef(i.oid) as definition,
    quote_ident(k.conname) as constraint, pg_get_constraintdef(k.oid) as "constraintDefinition"
    from pg_index x join pg_class i on i.oid = x.indexrelid join pg_namespace n on n.oid = i.relnamespace
    left join pg_constraint k on k.conindid = i.oid and k.contype in ('p', 'u', 'x')
    where (x.indisunique or x.indisexclusion) and ${USER_SCHEMA} order by 2`,
  foreignKeys: `select k.conrelid::text as relation, quote_ident(k.conname) as name, k.conkey::int[] as keys, k.confrelid::text as target,
    k.confkey::int[] as "targetKeys", pg_get_constraintdef(k.oid) as definition
    from pg_constraint k where k.contype = 'f' and k.conparentid = 0 order by 2`,
  reads: `select distinct r.ev_class::text as view, d.refobjid::text as relation from pg_rewrite r
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass
    where d.refobjid <> r.ev_class`,
  rewrites: `select r.ev_class::text as relation, quote_ident(r.rulename) as name from pg_rewrite r
    join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
    where r.rulename <> '_RETURN' and ${USER_SCHEMA}`,
  routines: `select p.oid::text as id, p.oid::regprocedure::text as name, n.nspname || '.' || p.proname as plain, p.proowner::text as owner,
    n.oid::text as schema, p.prosecdef as definer, p.proleakproof as leakproof,
    p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as trigger, coalesce(p.proconfig::text[], '{}') as settings,
    l.lanname as language, l.lanpltrusted or l.lanname in ('internal', 'c') as trusted,
    coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) as source, n.nspname = 'pg_catalog' as "builtIn",
    ${fromExtension("pg_proc", "p.oid")} as extension
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
    where ${USER_SCHEMA} or (n.nspname = 'pg_catalog' and p.proname = any ($1::text[])) order by 3, 2`,
  triggers: `select t.tgrelid::text as relation, quote_ident(t.tgname) as name, t.tgfoid::text as routine from pg_trigger t
    where not t.tgisinternal and t.tgenabled <> 'D'`,
  eventTriggers: `select oid::text as id, quote_ident(evtname) as name from pg_event_trigger where evtenabled <> 'D'`,
  grants: `
    select 'relation' as kind, c.oid::text as object, a.grantee::text as grantee, a.privilege_type as privilege, null as column
      from pg_class c join pg_namespace n on n.oid = c.relnamespace,
      ${exploded("c.relacl", "case c.relkind when 'S' then 's'::\"char\" else 'r'::\"char\" end", "c.relowner")}
      where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and ${USER_SCHEMA} and a.grantee <> c.relowner
    union all select 'column', c.oid::text, a.grantee::text, a.privilege_type, t.attname
      from pg_attribute t join pg_class c on c.oid = t.attrelid join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
      where ${USER_SCHEMA} and a.grantee <> c.relowner
    union all select 'schema', n.oid::text, a.grantee::text, a.privilege_type, null
      from pg_namespace n, ${exploded("n.nspacl", "'n'", "n.nspowner")} where ${USER_SCHEMA} and a.grantee <> n.nspowner
    union all select 'routine', p.oid::text, a.grantee::text, a.privilege_type, null
      from pg_proc p join pg_namespace n on n.oid = p.pronamespace, ${exploded("p.proacl", "'f'", "p.proowner")}
      where (${USER_SCHEMA} or (n.nspname = 'pg_catalog' and p.proname = any ($1::text[]))) and a.grantee <> p.proowner
    union all select 'database', d.oid::text, a.grantee::text, a.privilege_type, null
      from pg_database d, ${exploded("d.datacl", "'d'", "d.datdba")} where d.datname = current_database() and a.grantee <> d.datdba
    union all select 'server', s.oid::text, a.grantee::text, a.privilege_type, null
      from pg_foreign_server s, aclexplode(s.srvacl) a where a.grantee <> s.srvowner
    union all select 'parameter', p.parname, a.grantee::text, a.privilege_type, null from pg_parameter_acl p, aclexplode(p.paracl) a
    union all select 'default', quote_ident(pg_get_userbyid(d.defaclrole)) || coalesce(' in schema ' || quote_ident(n.nspname), ''),
      a.grantee::text, a.privilege_type, null
      from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace, aclexplode(d.defaclacl) a where d.defaclobjtype = 'r'`,
  settings: `select s.setrole::text as role, s.setdatabase = 0 as everywhere, split_part(given, '=', 1) as name,
    substr(given, strpos(given, '=') + 1) as value
    from pg_db_role_setting s, unnest(s.setconfig) given
    where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))`,
  publications: `select quote_ident(p.pubname) as name, p.puballtables as all,
    coalesce((select json_agg(json_build_object('relation', r.prrelid::text, 'filtered', r.prqual is not null))
      from pg_publication_rel r where r.prpubid = p.oid), '[]') as tables,
    array(select s.pnnspid::text from pg_publication_namespace s where s.pnpubid = p.oid) as schemas from pg_publication p`,
  servers: `select oid::text as id, quote_ident(srvname) as name, srvowner::text as owner from pg_foreign_server`,
  statistics: `select s.oid::text as id, ${QUALIFIED}(s.stxname) as name, s.stxrelid::text as relation
    from pg_statistic_ext s join pg_namespace n on n.oid = s.stxnamespace`,
  checks: `select conrelid::text as relation, pg_get_constraintdef(oid) as definition from pg_constraint where contype = 'c'`,
  estimateReaders: `select a.grantee::text as id from pg_class c, ${exploded("c.relacl", "'r'", "c.relowner")}
      where c.oid = 'pg_class'::regclass and a.privilege_type = 'SELECT' and a.grantee <> c.relowner
    union select a.grantee::text from pg_attribute t, aclexplode(t.attacl) a
      where t.attrelid = 'pg_class'::regclass and t.attname in ('reltuples', 'relpages') and a.privilege_type = 'SELECT'`,
  largeObjects: `select count(*)::int as count from pg_largeobject_metadata`,
} as const;
