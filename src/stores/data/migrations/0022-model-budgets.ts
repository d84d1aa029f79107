import type { Migration } from "./migration.ts";

const KEY = "tenant_id = p_tenant and budget = p_budget and subject = p_subject and period = p_period";

/**
 * Budgets of models. A gateway leases units of what is left and answers from them; what it leased counts as used, so that whatever happens to the
 * gateway, no budget is passed. Of every budget: granted = settled + returned + expired + what is leased now.
 */
export const modelBudgets: Migration = {
  version: 22,
  name: "model-budgets",
  sql: ({ roles }) => `
create table freehold.model_use (
  tenant_id uuid not null,
  budget text collate "C" not null,
  -- whose use it is: empty for the whole tenant
  subject text collate "C" not null,
  period timestamptz not null,
  granted bigint not null default 0,
  settled bigint not null default 0,
  returned bigint not null default 0,
  expired bigint not null default 0,
  primary key (tenant_id, budget, subject, period)
);
grant select, insert, update, delete on freehold.model_use to ${roles.system};
create table freehold.model_leases (
  tenant_id uuid not null,
  budget text collate "C" not null,
  subject text collate "C" not null,
  period timestamptz not null,
  gateway uuid not null,
  amount bigint not null check (amount >= 0),
  expires_at timestamptz not null,
  primary key (tenant_id, budget, subject, period, gateway),
  foreign key (tenant_id, budget, subject, period) references freehold.model_use (tenant_id, budget, subject, period) on delete cascade
);
grant select, insert, update, delete on freehold.model_leases to ${roles.system};

-- gives units: what is needed, and of what is left beyond it a part that leaves enough to the other gateways
create function freehold.model_lease(p_tenant uuid, p_budget text, p_subject text, p_period timestamptz, p_cap bigint, p_need bigint, p_want bigint,
  p_gateway uuid, p_life_ms integer) returns table (given bigint, free bigint, known boolean)
language plpgsql set search_path = pg_catalog as $$
declare
  v_settled bigint;
  v_held bigint;
  v_others bigint;
  v_gone bigint;
begin
  insert into freehold.model_use (tenant_id, budget, subject, period) values (p_tenant, p_budget, p_subject, p_period) on conflict do nothing;
  select u.settled into v_settled from freehold.model_use u where ${KEY} for update;
  with gone as (delete from freehold.model_leases where ${KEY} and expires_at < clock_timestamp() returning amount)
    select coalesce(sum(amount), 0) into v_gone from gone;
  select coalesce(sum(amount), 0), count(*) filter (where gateway <> p_gateway), coalesce(bool_or(gateway = p_gateway), false)
    into v_held, v_others, known from freehold.model_leases where ${KEY};
  free := greatest(0, p_cap - v_settled - v_held);
  given := least(free, p_need + least(greatest(0, p_want - p_need), greatest(0, free - p_need) / (2 * (v_others + 1))));
  free := free - given;
  update freehold.model_use set granted = granted + given, expired = expired + v_gone where ${KEY};
  if given > 0 or known then
    insert into freehold.model_leases as l (tenant_id, budget, subject, period, gateway, amount, expires_at)
    values (p_tenant, p_budget, p_subject, p_period, p_gateway, given, clock_timestamp() + make_interval(secs => p_life_ms / 1000.0))
    on conflict (tenant_id, budget, subject, period, gateway)
      do update set amount = l.amount + excluded.amount, expires_at = excluded.expires_at;
  end if;
  return next;
end $$;

-- takes what was used and what is given back out of a gateway's lease, and renews it; false: the lease was over
create function freehold.model_settle(p_tenant uuid, p_budget text, p_subject text, p_period timestamptz, p_settled bigint, p_returned bigint,
  p_gateway uuid, p_life_ms integer) returns boolean
language plpgsql set search_path = pg_catalog as $$
declare
  v_amount bigint;
begin
  perform from freehold.model_use where ${KEY} for update;
  select amount into v_amount from freehold.model_leases where ${KEY} and gateway = p_gateway and expires_at >= clock_timestamp();
  if v_amount is null then
    -- what had expired was spent after all; what is left of it stays expired
    with gone as (delete from freehold.model_leases where ${KEY} and gateway = p_gateway returning amount)
    update freehold.model_use set settled = settled + p_settled,
      granted = granted + greatest(0, p_settled - expired - (select coalesce(sum(amount), 0) from gone)),
      expired = greatest(0, expired + (select coalesce(sum(amount), 0) from gone) - p_settled) where ${KEY};
    return false;
  end if;
  update freehold.model_use set settled = settled + p_settled, returned = returned + p_returned,
    granted = granted + greatest(0, p_settled + p_returned - v_amount) where ${KEY};
  if v_amount <= p_settled + p_returned then
    delete from freehold.model_leases where ${KEY} and gateway = p_gateway;
  else
    update freehold.model_leases set amount = v_amount - p_settled - p_returned,
      expires_at = clock_timestamp() + make_interval(secs => p_life_ms / 1000.0) where ${KEY} and gateway = p_gateway;
  end if;
  return true;
end $$;
revoke all on function freehold.model_lease(uuid, text, text, timestamptz, bigint, bigint, bigint, uuid, integer),
  freehold.model_settle(uuid, text, text, timestamptz, bigint, bigint, uuid, integer) from public;
grant execute on function freehold.model_lease(uuid, text, text, timestamptz, bigint, bigint, bigint, uuid, integer),
  freehold.model_settle(uuid, text, text, timestamptz, bigint, bigint, uuid, integer) to ${roles.system};
`,
};
