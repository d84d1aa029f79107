export { type Access, authorise, type Decision, isWithin } from "./access.ts";
