import { z } from "zod";

/** An id that callers choose or get: printable ASCII without spaces or separators of paths. */
export const entityId = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@:-]*$/, "use letters, digits and . _ @ : -");

/** A tenant id in a body or query, which may only agree with the credential. The pipeline's caller compares it. */
export const agreeingTenantId = z.unknown().optional();

/** How many rows a list gives, from a query parameter. */
export const pageLimit = z.coerce.number().int().min(1).max(200).default(50);

/** Free values that a caller keeps with something of its own: at most 16 KiB as JSON. */
export const metadata = z
  .record(z.string().min(1).max(64), z.json())
  .refine((value) => JSON.stringify(value).length <= 16_384, "at most 16 KiB")
  .default({});

/** Text that people write. */
export const text = (lengthMax: number): z.ZodString => z.string().trim().min(1).max(lengthMax);
