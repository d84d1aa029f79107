export { type ConfigListener, createGatewayConfig, type GatewayConfig, type GatewayConfigPorts } from "./gateway-config.ts";
export { exportDocument, type ExportedDocument, type ExportOptions, writeExport } from "./export-document.ts";
export { type ObjectKind, ObjectChecks } from "./object-checks.ts";
export type * from "./objects.ts";
export { checkGatewayDocument, type DocumentOptions, parseGatewayDocument, type ParsedDocument } from "./parse-document.ts";
export { readGatewayText, type TextFormat } from "./read-text.ts";
export type { SchemaCheck, SchemaOptions } from "./schema/compiler.ts";
export { createSchemaCheck } from "./schema/schema-check.ts";
export { type SourceDocument, sourceIdOf, type SourceObject, splitDocument } from "./source-document.ts";
