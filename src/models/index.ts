export { createModelUse, type ModelUse } from "./budgets/ledger-rows.ts";
export { Ledger } from "./budgets/ledger.ts";
export { createModelGateway, type ModelGateway } from "./gateway.ts";
export { createModelLifecycle } from "./lifecycle.ts";
export { PROTOCOLS } from "./protocols/index.ts";
export { createModelBook, type ModelBook } from "./settings/book.ts";
export type { OpenRoute } from "./settings/catalogue.ts";
export { type ModelProtocol, platformModelsSchema, tenantGrantSchema, tenantModelsSchema } from "./settings/schema.ts";
export { ModelStore } from "./settings/store.ts";
