export { type CountFailure, type FailureNote, isTooMany, settleFailure } from "./failure-limit.ts";
export { type ApiKeyRecord, type MintedApiKey, mintApiKey, parseApiKey, type PresentedApiKey } from "./api-key.ts";
export { SESSION_COOKIE } from "./carriers.ts";
export { createContextSigner, type VouchedTenant } from "./context-signer.ts";
export { type ContextStatement, type ContextVerdict, createContextVerifier } from "./context-verifier.ts";
export {
  agree,
  asServed,
  createIdentification,
  createIdentity,
  type Identification,
  type Identified,
  type Identity,
  type IdentityAudit,
  type IdentityPorts,
  type Served,
  unauthenticated,
} from "./identify.ts";
export { createKeySets, type KeySets } from "./jwks.ts";
export { identitySettings, type IdentitySettings, issuerSettings, type IssuerSettings } from "./settings.ts";
export { type OpenedStatement, openStatement, signStatement } from "./statement.ts";
export {
  createSigningKey,
  createTokenIssuer,
  OWN_ISSUER,
  ownSigningKey,
  exportSigningKey,
  parseSigningKey,
  type SigningKey,
  type TokenIssuer,
  type TokenRequest,
} from "./token-issuer.ts";
