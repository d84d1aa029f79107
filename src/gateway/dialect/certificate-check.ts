import { createPrivateKey, X509Certificate } from "node:crypto";

/** What is wrong with the certificates and keys of an `ssls` entry, or undefined: each pair has to be readable and to belong together. */
export function checkCertificates(ssl: Readonly<Record<string, unknown>>): string | undefined {
  const wrong = checkPair(ssl["cert"], ssl["key"]);
  if (wrong !== undefined) return wrong;
  const [certs, keys] = [listOf(ssl["certs"]), listOf(ssl["keys"])];
  if (certs.length !== keys.length) return "mismatched number of certs and keys";
  for (const [i, cert] of certs.entries()) {
    const wrongPair = checkPair(cert, keys[i]);
    if (wrongPair !== undefined) return `failed to handle cert-key pair[${i + 1}]: ${wrongPair}`;
  }
  return undefined;
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function checkPair(cert: unknown, key: unknown): string | undefined {
  if (typeof cert !== "string" || typeof key !== "string") return undefined;
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(cert);
  } catch {
    return "failed to parse cert: PEM_read_bio_X509_AUX() failed";
  }
  // keys that an APISIX has encrypted open only there
  if (!key.includes("-----BEGIN")) return "failed to decrypt previous encrypted key";
  try {
    return certificate.checkPrivateKey(createPrivateKey(key)) ? undefined : "the private key is not that of the certificate";
  } catch {
    return "failed to parse key: PEM_read_bio_PrivateKey() failed";
  }
}
