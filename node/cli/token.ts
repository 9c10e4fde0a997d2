/** `lessor token`: who may use the API from elsewhere. A token is shown once; the file of a node has what tells it, and not the token. */
import { randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { InvalidArgumentError, Option, type Command } from 'commander';
import { hashOf, readTokenFile } from '../admin/io/token-file.ts';
import { isoSeconds } from '../admin/lease-view.ts';
import { MOMENT_EXPECTED, parseMoment } from '../admin/moment.ts';
import { ROLES } from '../admin/roles.ts';
import type { Role } from '../admin/roles.ts';
import { isTokenName, NAME_EXPECTED, TOKEN_BYTES, TOKEN_PREFIX, tokenLine } from '../admin/tokens.ts';
import type { TokenFile } from '../admin/tokens.ts';
import { INFINITE_SECONDS } from '../time.ts';
import { CliError, ExitCode } from './cli-error.ts';
import type { CliOutput } from './output.ts';
import { renderTable } from './table.ts';

interface CreateOptions {
  readonly name: string;
  readonly role: Role;
  readonly expires?: string;
  readonly file?: string;
}

const HEADER = '# Who may use the API of this node (lessor token): NAME  ROLE  SHA-256 of the token  [until when]\n';
/** For a new file; an earlier one keeps what it has. */
const MODE = 0o600;

export function addTokenCommands(program: Command, output: CliOutput): void {
  const token = program.command('token').description('make, list and take back tokens of the API (node.yaml: http.tokens)');
  token.command('create')
    .description('make a token and print it, once; what a node needs to know it goes into the file')
    .addOption(new Option('--name <name>', 'whose it is, as the audit log will name it').argParser(tokenName).makeOptionMandatory())
    .addOption(new Option('--role <role>', 'what it lets do').choices([...ROLES]).makeOptionMandatory())
    .option('--expires <time>', `when it ends: ${MOMENT_EXPECTED} (default: it does not)`)
    .option('--file <file>', 'the file to add it to, made where it is not there; else its line is printed')
    .action((options: CreateOptions) => create(options, output));
  token.command('list')
    .description('list the tokens of a file')
    .requiredOption('--file <file>', 'as http.tokens names it')
    .option('--json', 'as JSON')
    .action(({ file, json }: { readonly file: string; readonly json?: true }) => list(file, json === true, output));
  token.command('revoke')
    .description('take a token out of a file: nodes that have the file take it no more within seconds')
    .addArgument(token.createArgument('<name>', 'whose').argParser(tokenName))
    .requiredOption('--file <file>', 'as http.tokens names it')
    .action((name: string, { file }: { readonly file: string }) => revoke(name, file, output));
}

async function create({ expires, file, name, role }: CreateOptions, output: CliOutput): Promise<void> {
  const until = expires === undefined ? undefined : endOf(expires);
  const token = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
  const line = tokenLine(name, role, hashOf(token), until);
  if (file === undefined) {
    output.err(`The token of ${name} (${role}) is on standard output, and nowhere else. This line goes into the file that http.tokens names on each node:\n${line}\n`);
  } else {
    const there = existsSync(file) ? readOrFail(file) : undefined;
    if (there?.tokens.some((each) => each.name === name) === true) throw new CliError(ExitCode.no, `${file}: ${name} has a token already: choose another name, or lessor token revoke ${name} --file ${file} first`);
    const text = there === undefined ? HEADER : textOf(file);
    write(file, `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`);
    output.err(`The token of ${name} (${role}) is on standard output, and nowhere else. ${file} knows it now; copy the file to the other nodes.\n`);
  }
  await output.out(`${token}\n`);
}

async function list(file: string, json: boolean, output: CliOutput): Promise<void> {
  const { mistakes, tokens } = readOrFail(file);
  const now = Math.floor(Date.now() / 1000);
  const rows = tokens.map(({ expires, name, role }) => ({ name, role, expires: expires === INFINITE_SECONDS ? 'never' : isoSeconds(expires), ended: expires <= now }));
  if (json) await output.out(`${JSON.stringify(rows, null, 2)}\n`);
  else if (rows.length > 0) await output.out(renderTable(['NAME', 'ROLE', 'ENDS'], rows.map(({ ended, expires, name, role }) => [name, role, `${expires}${ended ? ' (ended)' : ''}`])));
  else output.err('No tokens.\n');
  if (mistakes.length > 0) throw new CliError(ExitCode.no, `${file}: ${mistakes.join('; ')}. Such a line lets nobody in.`);
}

async function revoke(name: string, file: string, output: CliOutput): Promise<void> {
  const { tokens } = readOrFail(file);
  const entry = tokens.find((each) => each.name === name);
  if (entry === undefined) throw new CliError(ExitCode.no, `${file}: there is no token of ${name}: lessor token list --file ${file} shows which there are`);
  const lines = textOf(file).split('\n');
  lines.splice(entry.line - 1, 1);
  write(file, lines.join('\n'));
  await output.out(`the token of ${name} is taken back in ${file}; do the same in the files of the other nodes\n`);
}

function readOrFail(file: string): TokenFile {
  try {
    return readTokenFile(file);
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: ${(cause as Error).message}. Name the file that http.tokens names, and let this user read it.`, { cause });
  }
}

function textOf(file: string): string {
  return readFileSync(file, 'utf8');
}

/** Whole or not at all: a node may look at it at any moment. */
function write(file: string, text: string): void {
  const next = `${file}.new`;
  try {
    const before = statSync(file, { throwIfNoEntry: false });
    writeFileSync(next, text, { mode: MODE });
    // Whatever the mask says.
    chmodSync(next, before === undefined ? MODE : before.mode & 0o777);
    if (before !== undefined && process.getuid?.() === 0) chownSync(next, before.uid, before.gid);
    renameSync(next, file);
  } catch (cause) {
    throw new CliError(ExitCode.no, `${file}: cannot be written: ${(cause as Error).message}`, { cause });
  }
}

function endOf(text: string): string {
  const now = Math.floor(Date.now() / 1000);
  const end = parseMoment(text, now, 'ahead');
  if (end === undefined) throw new CliError(ExitCode.usage, `--expires: expected ${MOMENT_EXPECTED}, found "${text}"`);
  if (end <= now) throw new CliError(ExitCode.usage, `--expires: ${isoSeconds(end)} is past`);
  return isoSeconds(end);
}

function tokenName(text: string): string {
  if (!isTokenName(text)) throw new InvalidArgumentError(`expected ${NAME_EXPECTED}.`);
  return text;
}
