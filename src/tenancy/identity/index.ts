export { type ApiKeyRecord, type MintedApiKey, mintApiKey, parseApiKey, type PresentedApiKey } from "./api-key.ts";
export { SESSION_COOKIE } from "./carriers.ts";
export {
  agree,
  createIdentity,
  type Identified,
  type Identity,
  type IdentityAudit,
  type IdentityPorts,
  unauthenticated,
} from "./identify.ts";
export { identitySettings, type IdentitySettings, issuerSettings, type IssuerSettings } from "./settings.ts";
export { type OpenedStatement, openStatement, signStatement } from "./statement.ts";
export {
  createSigningKey,
  createTokenIssuer,
  ownSigningKey,
  exportSigningKey,
  parseSigningKey,
  type SigningKey,
  type TokenIssuer,
  type TokenRequest,
} from "./token-issuer.ts";
