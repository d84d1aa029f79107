import { type Compiler, isRecord, type Keywords, type SchemaCheck } from "./compiler.ts";
import { show } from "./scalar-checks.ts";

type ObjectCheck = (object: Record<string, unknown>) => string | undefined;

/** What the schema says of one property. */
interface Property {
  readonly name: string;
  readonly check: SchemaCheck;
  readonly type: unknown;
  readonly fallback: unknown;
  readonly required: boolean;
  readonly dependency: ObjectCheck | undefined;
}

/** `properties` with their defaults, `required`, `dependencies`, `patternProperties`, `additionalProperties`, `propertyNames` and the sizes. */
export function checksOfObject(schema: Keywords, compiler: Compiler): SchemaCheck[] {
  const checks: ObjectCheck[] = [
    ...propertyChecks(schema, compiler),
    ...otherPropertyChecks(schema, compiler),
    ...nameChecks(schema, compiler),
    ...sizeChecks(schema),
  ];
  if (checks.length === 0) return [];
  return [
    (value) => {
      if (!isRecord(value)) return undefined;
      for (const check of checks) {
        const wrong = check(value);
        if (wrong !== undefined) return wrong;
      }
      return undefined;
    },
  ];
}

function propertyChecks(schema: Keywords, compiler: Compiler): ObjectCheck[] {
  const declared = asRecord(schema["properties"]);
  const { required: names = [] } = schema;
  if (typeof names !== "object") throw new Error(`invalid required: table expected, got ${typeof names}`);
  const required = new Set(Array.isArray(names) ? names.filter((name) => typeof name === "string") : []);
  const dependencies = new Map(
    Object.entries(asRecord(schema["dependencies"])).map(([name, on]) => [name, dependency(name, on, compiler)]),
  );
  const properties = Object.entries(declared).map(([name, part]): Property => {
    const { type, default: fallback } = asRecord(part);
    return { name, check: compiler.compile(part), type, fallback, required: required.has(name), dependency: dependencies.get(name) };
  });
  const others = [...dependencies].filter(([name]) => !Object.hasOwn(declared, name));
  const undeclared = [...required].filter((name) => !Object.hasOwn(declared, name));
  return [
    ...properties.map(
      (property): ObjectCheck =>
        (object) =>
          checkProperty(object, property, compiler.emptyIsEither),
    ),
    ...undeclared.map(
      (name): ObjectCheck =>
        (object) =>
          isThere(object, name) ? undefined : `property ${show(name)} is required`,
    ),
    ...others.map(
      ([name, check]): ObjectCheck =>
        (object) =>
          isThere(object, name) ? check(object) : undefined,
    ),
  ];
}

function checkProperty(object: Record<string, unknown>, property: Property, emptyIsEither: boolean): string | undefined {
  const { name, check, type, fallback, required, dependency: depends } = property;
  if (!isThere(object, name)) {
    if (required) return `property ${show(name)} is required`;
    if (fallback !== undefined) put(object, name, structuredClone(fallback));
    return undefined;
  }
  if (emptyIsEither) setRight(object, name, type);
  const wrong = check(object[name]);
  if (wrong !== undefined) return `property ${show(name)} validation failed: ${wrong}`;
  return depends?.(object);
}

/** Gives an empty list or object the form that the schema asks for. */
function setRight(object: Record<string, unknown>, name: string, type: unknown): void {
  const value = object[name];
  if (typeof value !== "object" || value === null || Object.keys(value).length > 0) return;
  if (type === "array" && !Array.isArray(value)) object[name] = [];
  if (type === "object" && Array.isArray(value)) object[name] = {};
}

function dependency(name: string, on: unknown, compiler: Compiler): ObjectCheck {
  if (Array.isArray(on)) {
    const names = on.filter((each) => typeof each === "string");
    return (object) => {
      const missing = names.find((each) => !isThere(object, each));
      return missing === undefined ? undefined : `property ${show(missing)} is required when ${show(name)} is set`;
    };
  }
  const check = compiler.compile(on);
  return (object) => {
    const wrong = check(object);
    return wrong === undefined ? undefined : `failed to validate dependent schema for ${show(name)}: ${wrong}`;
  };
}

function otherPropertyChecks(schema: Keywords, compiler: Compiler): ObjectCheck[] {
  const patterns = Object.entries(asRecord(schema["patternProperties"])).map(([pattern, part]) => ({
    pattern,
    compiled: compiler.pattern(pattern),
    check: compiler.compile(part),
  }));
  const additional = schema["additionalProperties"];
  const open = additional === undefined || additional === true;
  if (open && patterns.length === 0) return [];
  const declared = new Set(Object.keys(asRecord(schema["properties"])));
  const rest = open || additional === false ? undefined : compiler.compile(additional);
  return [
    (object) => {
      for (const [name, value] of Object.entries(object)) {
        const matching = patterns.filter(({ compiled }) => compiled.test(name));
        const wrong = patternProblem(name, value, matching);
        if (wrong !== undefined) return wrong;
        if (open || matching.length > 0 || declared.has(name)) continue;
        if (!rest) return `additional properties forbidden, found ${name}`;
        const wrongRest = rest(value);
        if (wrongRest !== undefined) return `failed to validate additional property ${name}: ${wrongRest}`;
      }
      return undefined;
    },
  ];
}

function patternProblem(
  name: string,
  value: unknown,
  matching: readonly { readonly pattern: string; readonly check: SchemaCheck }[],
): string | undefined {
  for (const { pattern, check } of matching) {
    const wrong = check(value);
    if (wrong !== undefined) return `failed to validate ${name} (matching ${show(pattern)}): ${wrong}`;
  }
  return undefined;
}

function nameChecks({ propertyNames }: Keywords, compiler: Compiler): ObjectCheck[] {
  if (propertyNames === undefined || propertyNames === true) return [];
  const check = compiler.compile(propertyNames);
  return [
    (object) => {
      for (const name of Object.keys(object)) {
        const wrong = check(name);
        if (wrong !== undefined) return `failed to validate property name ${show(name)}: ${wrong}`;
      }
      return undefined;
    },
  ];
}

function sizeChecks({ minProperties, maxProperties }: Keywords): ObjectCheck[] {
  const checks: ObjectCheck[] = [];
  if (typeof minProperties === "number") {
    checks.push((object) =>
      Object.keys(object).length < minProperties ? `expect object to have at least ${minProperties} properties` : undefined,
    );
  }
  if (typeof maxProperties === "number") {
    checks.push((object) =>
      Object.keys(object).length > maxProperties ? `expect object to have at most ${maxProperties} properties` : undefined,
    );
  }
  return checks;
}

/** `__proto__` and the like are names as any other: nothing inherited counts. */
function isThere(object: Readonly<Record<string, unknown>>, name: string): boolean {
  return Object.hasOwn(object, name) && object[name] !== undefined;
}

function put(object: Record<string, unknown>, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, writable: true, configurable: true });
}

function asRecord(value: unknown): Keywords {
  return isRecord(value) ? value : {};
}
