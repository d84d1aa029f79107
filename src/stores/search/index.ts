export type { Embedder } from "./embedder.ts";
export { createLexicalEmbedder, type LexicalSettings } from "./embedders/lexical.ts";
export { createOpenAiEmbedder, type EmbedderPorts, type OpenAiEmbedderSettings } from "./embedders/openai.ts";
export type { PreparedItem, SearchHit, SearchItem, SearchItemName, SearchKind, SearchQuery, TenantSearch } from "./port.ts";
export { createSearchStore, passagesOf, type SearchStore, type SearchStoreOptions } from "./search-store.ts";
export { createSearchLifecycle, type SearchLifecyclePorts } from "./search-lifecycle.ts";
