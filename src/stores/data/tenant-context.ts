import { createHmac } from "node:crypto";
import { BoundedMap, type Keyring } from "../../kernel/index.ts";
import type { Roles } from "./roles.ts";

/**
 * How the engine knows the tenant.
 * `guarded`: the setting `app.tenant_id`, which only `freehold.enter` can set, once per transaction; set_config is closed to everyone else.
 * `signed`: the same setting carries a MAC that the policy checks, for servers on which set_config cannot be closed (no superuser).
 */
export type ContextMode = "guarded" | "signed";

/** SQLSTATE of a statement that came to a home which the tenant has left. Nothing of it happened; it belongs to the new home. */
export const MOVED_STATE = "FH001";

const HMAC_BLOCK_BYTES = 64;
const CONTEXTS_KEPT_MAX = 100_000;

/**
 * SQL that makes `freehold.enter` and `freehold.tenant` for the mode, and stores the key that `signed` checks with.
 * `appEnters` is false where the application's role is taken on only after entering: then it needs no right to enter.
 */
export function contextSql(mode: ContextMode, roles: Roles, keyring: Keyring, appEnters: boolean): string {
  const { inner, outer } = hmacPads(keyring.key("database-context"));
  return `
create or replace function freehold.context_mode() returns text language sql immutable as $$ select '${mode}' $$;
insert into freehold_private.context_key (id, inner_pad, outer_pad) values (1, '\\x${inner}', '\\x${outer}')
  on conflict (id) do update set inner_pad = excluded.inner_pad, outer_pad = excluded.outer_pad;
drop function if exists freehold.enter(text);
drop function if exists freehold_private.check_home(uuid);
create or replace function freehold_private.check_home(tenant uuid, seen bigint) returns void
  language plpgsql volatile security definer set search_path = pg_catalog as $$
begin
  -- in shared rows too there is a move that has to be heard of: to and from a table of its own for what is searched
  if exists (select from freehold.homes h where h.tenant_id = tenant and (h.model <> 'row' or h.epoch > seen)) then
    raise exception 'the tenant has moved' using errcode = '${MOVED_STATE}';
  end if;
end $$;
revoke all on function freehold_private.check_home(uuid, bigint) from public;
create or replace function freehold.enter(context text, seen bigint default null) returns void
  language plpgsql volatile security definer set search_path = pg_catalog as $$
begin
  if current_setting('app.tenant_id', true) <> '' then
    raise insufficient_privilege using message = 'a tenant is set already in this transaction';
  end if;
  -- assigned and not performed: a plain expression needs no query of its own
  context := set_config('app.tenant_id', context, true);
  -- reading a sequence costs a fraction of reading a table: only who has not heard of a move since looks whom it concerns
  if coalesce(pg_sequence_last_value('freehold.home_epoch'::regclass), 0) is distinct from seen then
    perform freehold_private.check_home(left(context, 36)::uuid, seen);
  end if;
end $$;
revoke all on function freehold.enter(text, bigint) from public;
${appEnters ? `grant execute on function freehold.enter(text, bigint) to ${roles.app};` : ""}
${mode === "guarded" ? GUARDED_TENANT : SIGNED_TENANT}
grant execute on function freehold.tenant(), freehold.context_mode() to ${roles.app}, ${roles.system};
`;
}

// A plain SQL function is folded into the policy, so the planner sees the tenant's value and uses every index led by tenant_id
const GUARDED_TENANT = `
create or replace function freehold.tenant() returns uuid language sql stable parallel safe as
  $$ select nullif(current_setting('app.tenant_id', true), '')::uuid $$;`;

// HMAC-SHA256 (RFC 2104) out of the engine's own sha256, so that no extension is needed
const SIGNED_TENANT = `
create or replace function freehold.tenant() returns uuid
  language plpgsql stable parallel safe security definer set search_path = pg_catalog as $$
declare
  context text := current_setting('app.tenant_id', true);
begin
  if coalesce(context, '') = '' then
    return null;
  end if;
  if (select sha256(k.outer_pad || sha256(k.inner_pad || convert_to(left(context, 36), 'UTF8'))) from freehold_private.context_key k where k.id = 1)
    is distinct from decode(substr(context, 38), 'hex') then
    raise insufficient_privilege using message = 'the tenant context is not genuine';
  end if;
  return left(context, 36)::uuid;
end $$;`;

/** Gives the argument of `freehold.enter` for a tenant's internal id. */
export function createContextSigner(mode: ContextMode, keyring: Keyring): (uuid: string) => string {
  if (mode === "guarded") return (uuid) => uuid;
  const key = keyring.key("database-context");
  const kept = new BoundedMap<string, string>(CONTEXTS_KEPT_MAX);
  return (uuid) => {
    let context = kept.get(uuid);
    if (context === undefined) {
      context = `${uuid}.${createHmac("sha256", key).update(uuid).digest("hex")}`;
      kept.set(uuid, context);
    }
    return context;
  };
}

function hmacPads(key: Buffer): { inner: string; outer: string } {
  const block = Buffer.alloc(HMAC_BLOCK_BYTES);
  key.copy(block);
  const pad = (byte: number): string => Buffer.from(block.map((value) => value ^ byte)).toString("hex");
  return { inner: pad(0x36), outer: pad(0x5c) };
}
