import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { lint, type LintReport, parseManifest, toFixes } from "../../src/lint/index.ts";
import { asAdministrator, freshDatabase } from "../support/databases.ts";
import { makeFixture } from "./database-fixture.ts";

function look(url: string, manifest?: Readonly<Record<string, unknown>>): Promise<LintReport> {
  const described = manifest && { manifest: { file: "manifest", value: parseManifest(manifest, "manifest") } };
  return lint({ database: { kind: "postgres", url }, ...described, gateways: [], kubernetes: [] });
}

function found({ findings }: LintReport): readonly string[] {
  return findings.map(({ rule, object }) => `${rule.id} ${object}`);
}

describe("a database that nobody has described", () => {
  test("is judged by its tenant column, and every role that can log in is taken to act for tenants", async () => {
    const url = await freshDatabase();
    const database = new URL(url).pathname.slice(1);
    await asAdministrator(url, (client) =>
      client.query(`create role ${database}_web login;
        create table public.orders (id bigint generated always as identity primary key, tenant_id uuid, total integer);
        create table public.prices (id integer primary key);
        create view public.totals as select tenant_id, sum(total) from public.orders group by 1;
        grant select, insert on public.orders, public.totals, public.prices to ${database}_web`),
    );
    const report = await look(url, { roles: { application: [`${database}_web`] } });
    const tables = found(report).filter((each) => each.includes("public."));
    assert.deepEqual(tables, [
      "FH101 table public.orders",
      "FH115 column public.orders.tenant_id",
      "FH117 table public.prices",
      "FH120 primary key of public.orders",
      "FH126 view public.totals",
      "FH166 table public.orders",
    ]);
    const guessed = await look(url);
    assert.match(guessed.notes[0] ?? "", new RegExp(`every role that can log in was taken to act for tenants \\(.*${database}_web`));
  });

  test("with nobody but superusers to log in cannot be judged", async () => {
    const url = await freshDatabase();
    await assert.rejects(look(url, { roles: { application: ["nobody-there"] } }), /has no role nobody-there/);
  });
});

describe("what a rule sees further", () => {
  test("a foreign key between two tenants' tables is mended by taking the tenant along", async () => {
    const fixture = await makeFixture();
    await fixture.run(`set role ${fixture.owner};
      alter table shop.orders add column number integer; create unique index orders_number on shop.orders (number);
      alter table shop.items add column number integer, add constraint items_number foreign key (number) references shop.orders (number)`);
    const before = await lint({
      database: { kind: "postgres", url: fixture.url },
      manifest: { file: "m", value: fixture.manifest },
      gateways: [],
      kubernetes: [],
    });
    assert.deepEqual(found(before), ["FH121 index shop.orders_number", "FH122 foreign key items_number of shop.items"]);
    const sql = toFixes(before);
    assert.match(sql, /foreign key \("tenant_id", "number"\) references shop\.orders \("tenant_id", "number"\)/);
  });

  test("a role that reaches an owner through another role is found, and so is a right that comes through one", async () => {
    const fixture = await makeFixture();
    const { database, app, owner } = fixture;
    await fixture.run(`create role ${database}_group nologin; create role ${database}_staff nologin;
      grant ${database}_group to ${app}; grant ${owner} to ${database}_group;
      grant ${database}_staff to ${app}; grant truncate on shop.items to ${database}_staff`);
    const report = await lint({
      database: { kind: "postgres", url: fixture.url },
      manifest: { file: "m", value: fixture.manifest },
      gateways: [],
      kubernetes: [],
    });
    assert.deepEqual(found(report), ["FH128 table shop.items", `FH151 role ${database}_group`]);
    assert.match(toFixes(report), new RegExp(`revoke truncate on table shop.items from ${database}_staff`));
  });

  test("a view is seen through to what it reads in the end, and a function through to the setting", async () => {
    const fixture = await makeFixture();
    const { app, owner } = fixture;
    await fixture.run(`set role ${owner};
      create view shop.inner_view with (security_invoker = true) as select * from shop.orders;
      create view shop.outer_view as select * from shop.inner_view;
      create view shop.money as select * from shop.currencies;
      grant select on shop.outer_view, shop.money to ${app};
      create function shop.tenant() returns uuid language sql stable as $$ select current_setting('app.tenant_id')::uuid $$;
      revoke all on function shop.tenant() from public; grant execute on function shop.tenant() to ${app};
      alter policy tenant on shop.orders using (tenant_id = shop.tenant()) with check (tenant_id = shop.tenant())`);
    const described = { ...fixture.manifest, contextFunctions: ["shop.tenant"] };
    const report = await lint({
      database: { kind: "postgres", url: fixture.url },
      manifest: { file: "m", value: described },
      gateways: [],
      kubernetes: [],
    });
    assert.deepEqual(found(report), [`FH109 policy "tenant" on shop.orders`, "FH126 view shop.outer_view"]);
  });
});
