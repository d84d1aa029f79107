export { BREAKER_FAILURES_MAX, BREAKER_REST_MS } from "./breaker.ts";
export { collect, createInvoker, type InvokeOptions, type Invoker, type InvokerOptions } from "./invoker.ts";
export { type AgentAnswer, type AgentEvent, type Citation, type HistoryTurn, type NormalizedMessage, type Usage } from "./message.ts";
export { NOTHING_FOUND, type Passage, type SearchPassages } from "./protocols/builtin.ts";
export { type Chat, type ChatPorts, createChat, type IncomingMessage, mayActForOthers, type Reply } from "./chat.ts";
export { findSession, listMessages, listSessions, removeSession, type Session } from "./sessions.ts";
export { assertWebEnabled } from "./channels/web.ts";
export { CHAT_PLATFORMS, type Channels, createChannels, type TestRun } from "./channels/channels.ts";
