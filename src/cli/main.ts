import { Argument, Command, Option } from "commander";
import { addChannel, changeChannel, listChannels, removeChannel, testChannel } from "./commands/channel.ts";
import { doctor } from "./commands/doctor.ts";
import { checkRoutes, explainRoute, exportApisix, importApisix } from "./commands/gateway.ts";
import { lintInstallation } from "./commands/lint.ts";
import { createKey, listKeys, revokeKey } from "./commands/key.ts";
import { migrateDrift, migrateStatus, migrateUp } from "./commands/migrate.ts";
import { modelLedger, modelUsage, setModelKey, setModels, showModels, testModel } from "./commands/models.ts";
import { prove } from "./commands/prove.ts";
import { createTenant, listTenants, moveTenant, resumeTenant, showTenant, suspendTenant } from "./commands/tenant.ts";
import { certificate, eraseTenant, exportTenant, importTenant } from "./commands/tenant-life.ts";
import { token } from "./commands/token.ts";
import { up } from "./commands/up.ts";
import { SCOPES } from "../kernel/index.ts";
import { printFailure } from "./terminal.ts";

const program = new Command("freehold")
  .description("Many customers on one AI platform, each as if alone.")
  .showHelpAfterError()
  .configureHelp({ sortSubcommands: false });

/** The flags that say which installation a command works on. */
function onInstallation(command: Command, profile: Option = installationProfile()): Command {
  return command
    .option("--config <file>", "settings file (default: freehold.yaml where it exists)")
    .option("--data <folder>", "data folder of the embedded database (default: .freehold)")
    .option("--database-url <url>", "PostgreSQL instead of the embedded database (also FREEHOLD_DATABASE_URL)")
    .addOption(profile)
    .option("--json", "print JSON for machines");
}

function onWebsite(command: Command): Command {
  return command
    .option("--origin <origin...>", "website: sites that may show the chat, such as https://www.example.com")
    .option("--title <text>", "website: title of the chat")
    .option("--greeting <text>", "website: what the chat begins with")
    .option("--placeholder <text>", "website: what stands where a message is written")
    .option("--color <color>", "website: colour of the chat, such as #1f3a8a")
    .option("--launcher <text>", "website: what stands on the button that opens the chat");
}

function installationProfile(): Option {
  return new Option("--profile <profile>", "development only where just this machine can connect").choices(["development", "production"]);
}

/** The rules that a gateway document is read by. */
function documentProfile(): Option {
  return new Option("--profile <profile>", "our own rules, or those of Apache APISIX").choices(["strict", "apisix"]);
}

onInstallation(program.command("up"))
  .description("start everything and serve until Ctrl-C")
  .option("--port <port>", "port of the API, 0 for a free one (default: 8080)")
  .option("--admin-port <port>", "loopback port of health, metrics and management, 0 for a free one (default: 9090)")
  .option("--host <address>", "address to listen on (default: 127.0.0.1)")
  .option("--log-level <level>", "fatal, error, warn, info, debug or silent (default: info)")
  .option("--gateway <file>", "gateway document: routes, upstreams, plugins (YAML or JSON)")
  .option("--processes <number>", "processes that share the ports, one per core; more than one needs PostgreSQL (default: 1)")
  .option("--demo", "make the tenants acme and globex where missing (default in development)")
  .option("--no-demo", "start without the demo tenants")
  .action(up);

const tenant = program.command("tenant").description("register, list, read, move, suspend, resume, export, import and erase tenants");
onInstallation(tenant.command("create <id>"))
  .description("register a tenant; what is not set comes from its plan")
  .option("--name <name>", "name for people (default: the id)")
  .option("--plan <plan>", "starter, professional, enterprise or a plan of your own")
  .option("--isolation <level>", "shared, dedicated or isolated")
  .option("--locale <tag>", "language, for example en or de-CH")
  .option("--agent-url <url>", "where the tenant's agent answers")
  .option("--agent-protocol <protocol>", "builtin, webhook, openai or a2a")
  .option("--agent-model <model>", "model to name to an openai agent")
  .option("--agent-timeout <ms>", "time limit of one answer")
  .action(createTenant);
onInstallation(tenant.command("list")).description("list all tenants").action(listTenants);
onInstallation(tenant.command("show <id>"))
  .description("read one tenant, and how far what is being done to it has come")
  .action(showTenant);
onInstallation(tenant.command("suspend <id>")).description("refuse every call of a tenant").action(suspendTenant);
onInstallation(tenant.command("resume <id>")).description("serve a suspended tenant again").action(resumeTenant);

onInstallation(tenant.command("export <id>"))
  .description("write everything of a tenant into one archive, without secrets")
  .requiredOption("--out <file>", "the archive, a gzipped tar")
  .action(exportTenant);
onInstallation(tenant.command("import <file>"))
  .description("make a tenant of an archive; one that is refused leaves nothing behind")
  .requiredOption("--as <id>", "the new tenant's id")
  .option("--plan <plan>", "its plan (default: starter)")
  .action(importTenant);
onInstallation(tenant.command("erase <id>"))
  .description("erase a tenant for good: refused at once, exported, then gone from every store")
  .option("--no-export", "write no archive first")
  .option("--reason <text>", "why, for the certificate")
  .action(eraseTenant);
onInstallation(tenant.command("certificate [id]"))
  .description("print the signed certificate of an erasure, or verify one")
  .option("--out <file>", "file to write")
  .option("--verify <file>", "say what this certificate says, if it is genuine")
  .option("--keys <file>", "key set of the installation that signed it (default: this one's)")
  .action(certificate);
onInstallation(tenant.command("move <id>"))
  .description("move a tenant's part of stores to other places while it is served; the old places are kept until it is confirmed")
  .addOption(
    new Option("--to <model>", "where its rows go: row, schema or database (a database needs PostgreSQL)").choices([
      "row",
      "schema",
      "database",
    ]),
  )
  .addOption(new Option("--search <place>", "shared, or own: a table of its own for a tenant in shared rows").choices(["shared", "own"]))
  .addOption(new Option("--files <place>", "shared, or own (needs files.own in the settings)").choices(["shared", "own"]))
  .option("--confirm", "delete the places that the tenant has left")
  .action(moveTenant);

const migrate = program.command("migrate").description("the application's tables in all homes of tenants");
onInstallation(migrate.command("status")).description("how far the tables are").action(migrateStatus);
onInstallation(migrate.command("up"))
  .description("apply the declared steps: to the canary, to the shared rows, then to all homes in waves; goes on after a kill")
  .option("--canary <tenant>", "tenant whose home is changed first and alone (default: the one placed first)")
  .option("--contract", "also steps that take away what older programs use")
  .action(migrateUp);
onInstallation(migrate.command("drift")).description("what differs between homes; ends with 1 if anything does").action(migrateDrift);

const key = program.command("key").description("make, list and revoke the API keys of a tenant");
onInstallation(key.command("create [tenant]"))
  .description("make an API key of a tenant, or without one of the platform; it is shown once")
  .option("--name <name>", "what the key is for")
  .option("--role <role>", "member or admin (default: member); of the platform: viewer or admin")
  .option("--scopes <scopes>", `comma-separated: ${SCOPES.join(",")} (default: all but tenant)`)
  .option("--expires-in-days <days>", "when the key ends (default: never)")
  .action(createKey);
onInstallation(key.command("list [tenant]")).description("list a tenant's keys, or the platform's").action(listKeys);
onInstallation(key.command("revoke <tenant-or-key> [key]"))
  .description("revoke a tenant's key, or with one argument a key of the platform, everywhere within a second")
  .action(revokeKey);

const channel = program.command("channel").description("install, list, test and remove a tenant's apps on chat platforms");
onInstallation(
  onWebsite(
    channel.command("add <tenant>").addArgument(new Argument("<platform>", "where the app is").choices(["web", "slack", "discord"])),
  ),
)
  .description("install an app of a tenant: whose it is is asked of the platform; prints the path that the app has to deliver to")
  .option("--name <name>", "what it is called in lists (default: the platform)")
  .option("--bot-token-env <variable>", "environment variable with the bot token", "FREEHOLD_BOT_TOKEN")
  .option("--signing-secret-env <variable>", "Slack: environment variable with the signing secret", "FREEHOLD_SIGNING_SECRET")
  .option("--socket", "connect to Slack (Socket Mode) or Discord instead of having it deliver")
  .option("--app-token-env <variable>", "Slack, with --socket: environment variable with the app-level token", "FREEHOLD_APP_TOKEN")
  .option("--external-members", "Slack: also answer people of other organisations in shared channels")
  .option("--guild <id...>", "Discord: servers in which the app is answered")
  .option("--direct-messages", "Discord: also answer in direct messages")
  .action(addChannel);
onInstallation(onWebsite(channel.command("change <tenant> <channel>")))
  .description('change what an app is called and how the chat of a website looks; "" stands for the default')
  .option("--name <name>", "what it is called in lists")
  .action(changeChannel);
onInstallation(channel.command("list <tenant>")).description("list a tenant's apps").action(listChannels);
onInstallation(channel.command("test <tenant> <channel>"))
  .description("send a signed message through the app, the agent and the platform")
  .requiredOption("--to <id>", "channel on the platform that gets the answer")
  .option("--message <text>", "what to ask")
  .action(testChannel);
onInstallation(channel.command("remove <tenant> <channel>"))
  .description("take an app away: what it delivers is refused everywhere within a second")
  .action(removeChannel);

const models = program.command("models").description("providers, models, budgets and keys; what was used; and a test of the whole way");
onInstallation(models.command("show"))
  .description("print what there is and which plans may use it, as a file that `set` takes")
  .option("--tenant <id>", "what this tenant is given beside its plan")
  .action(showModels);
onInstallation(models.command("set <file>"))
  .description("put a file (YAML or JSON) in its place; in force in every process within a second")
  .option("--tenant <id>", "what this tenant is given beside its plan")
  .action(setModels);
onInstallation(models.command("key <provider>"))
  .description("set the platform's key for a provider; no command shows it")
  .option("--key-env <variable>", "environment variable with the key", "FREEHOLD_MODEL_KEY")
  .option("--remove", "take it away")
  .action(setModelKey);
onInstallation(models.command("test <tenant> <model>"))
  .description("ask a model as the tenant would, with its budgets and guardrails, and say what it used")
  .option("--message <text>", "what to ask", "Say hello.")
  .action(testModel);
onInstallation(models.command("usage <tenant>"))
  .description("add up what a tenant has used, by model and principal (default: this month)")
  .option("--from <time>", "a day, or a time such as 2026-01-31T12:00:00Z")
  .option("--to <time>", "until then")
  .action(modelUsage);
onInstallation(models.command("ledger <tenant>"))
  .description("list a tenant's newest tries at providers, failed ones too")
  .option("--limit <number>", "how many, 200 at most")
  .action(modelLedger);

onInstallation(program.command("token [tenant]"))
  .description("print a JWT of the platform's own issuer for a tenant's user, or without a tenant for an operator")
  .option("--user <id>", "who the token is for", "command-line")
  .option("--role <role>", "member or admin, in the tenant", "member")
  .option("--lifetime <seconds>", "60 to 86400", "3600")
  .action(token);

const route = program.command("route").description("check a gateway document, and explain where a request would go");
route
  .command("check <file>")
  .description("check a gateway document (YAML or JSON) without an installation; exit code 1 when it is refused")
  .addOption(documentProfile().default("strict"))
  .option("--json", "print JSON for machines")
  .action(checkRoutes);
onInstallation(route.command("explain <tenant> <method> <url>"))
  .description("say which route, upstream and plugins a request would meet, and why")
  .action(explainRoute);

onInstallation(
  program.command("import").description("take over the configuration of another gateway").command("apisix <file>"),
  documentProfile(),
)
  .description("check an APISIX document and store it in place of what was stored before (profile by default: the installation's)")
  .action(importApisix);

onInstallation(program.command("export").description("hand the configuration to another gateway").command("apisix"))
  .description("write the gateway document in force for stock APISIX, and name what it cannot say")
  .option("--out <file>", "file to write, JSON when its name ends with .json (default: standard output)")
  .action(exportApisix);

onInstallation(program.command("lint"))
  .description("look for ways across a tenant's boundary in any PostgreSQL and in the files of other layers; changes nothing")
  .option("--manifest <file>", "what is whose, and what is meant to be so (default: freehold-lint.yaml where it exists)")
  .option("--role <role...>", "database roles that act for tenants")
  .option("--gateway-document <file...>", "gateway documents to look at")
  .option("--kubernetes <file...>", "files of Kubernetes documents to look at")
  .option("--no-database", "look at the files only")
  .addOption(new Option("--format <format>", "how to write the report").choices(["text", "json", "sarif"]).default("text"))
  .option("--fix", "print the SQL that mends what was found; it is never run")
  .action(lintInstallation);

onInstallation(program.command("prove"))
  .description("attack a running installation as one of two tenants made for it, and sign what came of it; or check such a report")
  .option("--url <url>", "where the installation is reached (default: the process that serves the data folder)")
  .option("--admin-url <url>", "where its operators reach it (default: the same)")
  .option("--out <file>", "file for the signed report", "freehold-proof.jws")
  .option("--verify <file>", "check a signed report instead, by the keys that the installation publishes")
  .option("--jwks <file-or-url>", "the published keys, for --verify without the installation")
  .action(prove);

onInstallation(program.command("doctor")).description("check this machine and the installation").action(doctor);

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = printFailure(error, process.argv.includes("--json"));
}
