import { Fault, Secret } from "../../kernel/index.ts";
import type { AwsCredentials } from "../../wire/index.ts";

const KEY = /^(?<id>[A-Z0-9]{16,128}):(?<secret>[A-Za-z0-9/+=]{16,256})(?::(?<token>[A-Za-z0-9/+=]{1,8192}))?$/;

/** The credentials that a provider's key stands for, `<access key id>:<secret access key>[:<session token>]`. Throws `invalid_settings`, without the key. */
export function awsCredentials(key: Secret, provider: string): AwsCredentials {
  const { id, secret, token } = KEY.exec(key.reveal())?.groups ?? {};
  if (id === undefined || secret === undefined) {
    const detail = `The key of the provider ${provider} has to be <access key id>:<secret access key>, and :<session token> behind them with temporary ones.`;
    throw new Fault("invalid_settings", detail, { public: { detail } });
  }
  return { accessKeyId: id, secretAccessKey: new Secret(secret), ...(token !== undefined && { sessionToken: new Secret(token) }) };
}
