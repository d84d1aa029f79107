export { createFolderEngine } from "./adapters/folder.ts";
export { createS3Engine, type S3Settings, type SendToS3 } from "./adapters/s3.ts";
export { createFileStore, type FileStoreOptions } from "./file-store.ts";
export { FILE_BYTES_MAX } from "./tenant-files.ts";
export type { ByteRange, FileContent, FileEngine, FileInfo, FilePage, FileStore, PutOptions, TenantFiles } from "./port.ts";
