import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ExpressionVerdict, judgeContextBody, judgeExpression } from "../../src/lint/database/policy-expression.ts";

const SETTING = "(NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid";
const bySetting: ExpressionVerdict = { boundBy: "setting", setting: "app.tenant_id" };

describe("the text of a policy", () => {
  const expected: readonly (readonly [text: string, verdict: ExpressionVerdict])[] = [
    [`(tenant_id = ${SETTING})`, bySetting],
    [`(${SETTING} = tenant_id)`, bySetting],
    [`(tenant_id = ( SELECT ${SETTING} AS "nullif"))`, bySetting],
    [`((tenant_id = ${SETTING}) AND (deleted_at IS NULL))`, bySetting],
    [`(orders.tenant_id = ${SETTING})`, bySetting],
    [`((note ~~ 'or'::text) AND (tenant_id = ${SETTING}))`, bySetting],
    ["(tenant_id = freehold.tenant())", { boundBy: "function", name: "freehold.tenant" }],
    [`((tenant_id = ${SETTING}) OR (current_setting('app.admin'::text, true) = 'on'::text))`, { fault: "or" }],
    ["true", { fault: "always-true" }],
    ["(true)", { fault: "always-true" }],
    ["(NOT false)", { fault: "unbound" }],
    ["(1 = 1)", { fault: "unbound" }],
    ["(tenant_id = tenant_id)", { fault: "unbound" }],
    ["(tenant_id IS NOT NULL)", { fault: "unbound" }],
    [`(tenant_id <> ${SETTING})`, { fault: "unbound" }],
    [`(NOT (tenant_id = ${SETTING}))`, { fault: "unbound" }],
    [`(COALESCE((tenant_id = ${SETTING}), true))`, { fault: "column-function" }],
    ["((tenant_id)::text = current_setting('app.tenant_id'::text))", { fault: "column-cast" }],
    ["(lower((tenant_id)::text) = 'x'::text)", { fault: "column-function" }],
    ["(tenant_id = current_setting('app.tenant_id'::text))", { fault: "setting-required" }],
    ["(tenant_id = (current_setting('app.tenant_id'::text, true))::uuid)", { fault: "setting-empty" }],
    ["(tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), 'x'::text))::uuid)", { fault: "setting-empty" }],
    ["(tenant_id = COALESCE(current_setting('app.tenant_id'::text, true), 'acme'::text))", { boundBy: "function", name: "coalesce" }],
    ["(tenant_id = ( SELECT m.tenant_id FROM members m))", { fault: "other-table" }],
    [`(tenant_id = ((${SETTING})::text || ''::text))`, { fault: "unbound" }],
    [`CASE WHEN admin THEN true ELSE (tenant_id = ${SETTING}) END`, { fault: "unbound" }],
  ];
  for (const [text, verdict] of expected) {
    test(`${text}: ${verdict.fault ?? "bound"}`, () => assert.deepEqual(judgeExpression(text, "tenant_id"), verdict));
  }
});

test("the body of a function is judged as what it gives back", () => {
  assert.deepEqual(judgeContextBody(" select nullif(current_setting('app.tenant_id', true), '')::uuid "), bySetting);
  assert.deepEqual(judgeContextBody("begin return nullif(current_setting('app.tenant_id', true), '')::uuid; end"), bySetting);
  assert.deepEqual(judgeContextBody("select current_setting('app.tenant_id')::uuid"), { fault: "setting-required" });
});
