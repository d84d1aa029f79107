/** The text search configurations of PostgreSQL 15 by language (ISO 639-1). */
const BY_LANGUAGE: Readonly<Record<string, string>> = {
  ar: "pg_catalog.arabic",
  ca: "pg_catalog.catalan",
  da: "pg_catalog.danish",
  de: "pg_catalog.german",
  el: "pg_catalog.greek",
  en: "pg_catalog.english",
  es: "pg_catalog.spanish",
  eu: "pg_catalog.basque",
  fi: "pg_catalog.finnish",
  fr: "pg_catalog.french",
  ga: "pg_catalog.irish",
  hi: "pg_catalog.hindi",
  hu: "pg_catalog.hungarian",
  hy: "pg_catalog.armenian",
  id: "pg_catalog.indonesian",
  it: "pg_catalog.italian",
  lt: "pg_catalog.lithuanian",
  nb: "pg_catalog.norwegian",
  ne: "pg_catalog.nepali",
  nl: "pg_catalog.dutch",
  nn: "pg_catalog.norwegian",
  no: "pg_catalog.norwegian",
  pt: "pg_catalog.portuguese",
  ro: "pg_catalog.romanian",
  ru: "pg_catalog.russian",
  sr: "pg_catalog.serbian",
  sv: "pg_catalog.swedish",
  ta: "pg_catalog.tamil",
  tr: "pg_catalog.turkish",
  yi: "pg_catalog.yiddish",
};

/** The text search configuration for a tenant's locale (BCP 47): one of a fixed list, `simple` for every other language. */
export function textSearchLanguage(locale: string): string {
  const language = locale.split("-", 1)[0]?.toLowerCase() ?? "";
  return Object.hasOwn(BY_LANGUAGE, language) ? (BY_LANGUAGE[language] ?? "pg_catalog.simple") : "pg_catalog.simple";
}
