export { createModelBook, type ModelBook } from "./settings/book.ts";
export { createModelLifecycle } from "./lifecycle.ts";
export { ModelStore } from "./settings/store.ts";
export { platformModelsSchema, tenantGrantSchema, tenantModelsSchema } from "./settings/schema.ts";
