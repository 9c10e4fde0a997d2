/** The rules about the shape of the code, each as a test that reads the sources. Exceptions carry their reason. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';

const project = join(import.meta.dirname, '../..');
const LINES_MAX = 450;

interface Import {
  readonly from: string;
  /** A file of the project, or the name of a package. */
  readonly to: string;
  /** Erased when the file is loaded. */
  readonly typeOnly: boolean;
}

interface Source {
  readonly path: string;
  readonly text: string;
  /** The text without comments and without what stands in quotes. */
  readonly code: string;
  readonly imports: readonly Import[];
}

function readSource(path: string): Source {
  const text = readFileSync(join(project, path), 'utf8');
  const statements = [...text.matchAll(/^(?:import|export)\b(\s+type\b)?([\w\s{},*$]*?)\bfrom\s*['"]([^'"]+)['"]/gm)];
  const bare = [...text.matchAll(/^import\s+['"]([^'"]+)['"]/gm)];
  const dynamic = [...text.matchAll(/\bawait import\(\s*['"]([^'"]+)['"]/g)];
  const target = (specifier: string): string => (specifier.startsWith('.') ? posix.join(dirname(path), specifier) : specifier);
  return {
    path, text, code: codeOf(text),
    imports: [
      ...statements.map(([, type, names = '', specifier = '']) =>
        ({ from: path, to: target(specifier), typeOnly: type !== undefined || onlyTypes(names) })),
      ...[...bare, ...dynamic].map(([, specifier = '']) => ({ from: path, to: target(specifier), typeOnly: false })),
    ],
  };
}

/** `{ type A, type B }` */
function onlyTypes(names: string): boolean {
  const inner = /^\s*\{([^}]*)\}\s*$/.exec(names)?.[1];
  return inner !== undefined && inner.split(',').filter((name) => name.trim() !== '').every((name) => /^\s*type\s/.test(name));
}

function codeOf(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, (match) => match.replaceAll(/[^\n]/g, ' '));
}

const sources = globSync('{proto,node,cluster}/**/*.ts', { cwd: project }).toSorted().map(readSource);
const written = sources.filter(({ path }) => !path.startsWith('proto/gen/'));

test('the sources are found and their imports are read', () => {
  assert.ok(written.length > 100);
  const root = sources.find(({ path }) => path === 'node/main.ts')!.imports;
  assert.ok(root.some(({ to, typeOnly }) => to === 'cluster/core/engine.ts' && !typeOnly));
  assert.ok(root.some(({ to, typeOnly }) => to === 'node/server/ports.ts' && typeOnly));
  assert.deepEqual(readSource('node/cli/node.ts').imports.filter(({ to }) => to === 'node/main.ts').length, 1, 'import() counts');
  const paths = new Set(sources.map(({ path }) => path));
  assert.deepEqual(sources.flatMap(({ imports }) => imports).filter(({ to }) => /^(node|cluster|proto)\//.test(to) && !paths.has(to)), []);
});

test('imports flow one way: proto, node, cluster, and what is started: node/main.ts and node/cli', () => {
  const layer = (path: string): number => {
    if (path.startsWith('proto/')) return 0;
    if (path === 'node/main.ts' || path.startsWith('node/cli/')) return 3;
    return path.startsWith('node/') ? 1 : path.startsWith('cluster/') ? 2 : NaN;
  };
  const wrong = sources.flatMap(({ imports }) => imports).filter(({ from, to }) => layer(to) > layer(from));
  assert.deepEqual(wrong.map(({ from, to }) => `${from} imports ${to}`), []);
});

test('what is shipped imports nothing of the tests and the lab', () => {
  assert.deepEqual(sources.flatMap(({ imports }) => imports).filter(({ to }) => /^(test|deploy)\//.test(to)), []);
});

/** Where the world may be touched. */
const EDGE = /(^|\/)io\/|^node\/main\.ts$|^node\/cli\//;

const WORLD_MODULES = new RegExp(`^(?:node:(?:${[
  'fs', 'fs/promises', 'net', 'tls', 'dgram', 'dns', 'http', 'http2', 'https', 'child_process', 'worker_threads', 'cluster', 'os', 'tty',
  'timers', 'timers/promises', 'readline', 'process', 'perf_hooks', 'crypto',
].join('|')})|lmdb|koffi|etcd3|@grpc/grpc-js|cockatiel|fastify|commander)$`);

const WORLD_GLOBALS = new RegExp([
  String.raw`\bDate\b`, String.raw`\bMath\.random\b`, String.raw`\b(?:set|clear)(?:Timeout|Interval|Immediate)\b`, String.raw`\bqueueMicrotask\b`,
  String.raw`\bperformance\b`, String.raw`(?<![.\w])fetch\(`, String.raw`\bcrypto\.`, String.raw`(?<![.\w])process\.\w+`, String.raw`\bconsole\b`,
].join('|'), 'g');

const EXCEPTIONS: Readonly<Record<string, { readonly uses: readonly string[]; readonly because: string }>> = {
  'node/admin/lease-view.ts': { uses: ['Date'], because: 'writes a given time down as ISO 8601' },
  'node/ddns/dhcid.ts': { uses: ['node:crypto'], because: 'a digest, which depends on nothing but its input' },
  'node/ddns/tsig.ts': { uses: ['node:crypto'], because: 'signatures, which depend on nothing but the key and what is signed' },
  'node/telemetry/log.ts': { uses: ['Date'], because: 'writes a given time down as ISO 8601' },
  'node/telemetry/metric-table.ts': { uses: ['process.version'], because: 'the version of Node.js, which never changes' },
  'node/config/load.ts': { uses: ['node:fs', 'process.env'], because: 'reads the configuration files, and the variables that node.yaml names, before anything runs' },
  'node/version.ts': { uses: ['node:fs'], because: 'reads the version of the package when it is loaded' },
};

test('only io folders, the composition root and the command line touch sockets, disks, timers, clocks and chance', () => {
  const touched = new Map<string, Set<string>>();
  for (const { path, code, imports } of written) {
    if (EDGE.test(path)) continue;
    const uses = [
      ...imports.filter(({ to, typeOnly }) => !typeOnly && WORLD_MODULES.test(to)).map(({ to }) => to),
      ...[...code.matchAll(WORLD_GLOBALS)].map(([use]) => use),
    ];
    if (uses.length > 0) touched.set(path, new Set(uses));
  }
  const found = Object.fromEntries([...touched].map(([path, uses]) => [path, [...uses].toSorted()]));
  const allowed = Object.fromEntries(Object.entries(EXCEPTIONS).map(([path, { uses }]) => [path, [...uses].toSorted()]));
  assert.deepEqual(found, allowed);
});

test('decisions do not import what touches the world', () => {
  const wrong = written.filter(({ path }) => !EDGE.test(path))
    .flatMap(({ imports }) => imports.filter(({ to, typeOnly }) => !typeOnly && EDGE.test(to) && sources.some(({ path }) => path === to)));
  assert.deepEqual(wrong.map(({ from, to }) => `${from} imports ${to}`), []);
});

/** Ways from each key back to itself, each once, as the path of keys. */
function cyclesOf(edges: ReadonlyMap<string, ReadonlySet<string>>): string[] {
  const cycles = new Set<string>();
  const done = new Set<string>();
  const walk = (at: string, way: readonly string[]): void => {
    const seenAt = way.indexOf(at);
    if (seenAt >= 0) {
      cycles.add([...way.slice(seenAt), at].join(' -> '));
      return;
    }
    if (done.has(at)) return;
    for (const next of edges.get(at) ?? []) walk(next, [...way, at]);
    done.add(at);
  };
  for (const start of edges.keys()) walk(start, []);
  return [...cycles];
}

function edgesBetween(imports: readonly Import[], unitOf: (path: string) => string | undefined): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    const [one, other] = [unitOf(from), unitOf(to)];
    if (one !== undefined && other !== undefined && one !== other) edges.set(one, (edges.get(one) ?? new Set()).add(other));
  }
  return edges;
}

const loaded = sources.flatMap(({ imports }) => imports).filter(({ typeOnly }) => !typeOnly);

test('cycles are found', () => {
  const edge = (from: string, to: string): Import => ({ from, to, typeOnly: false });
  assert.deepEqual(cyclesOf(edgesBetween([edge('a/1', 'b/1'), edge('b/2', 'c/1'), edge('c/1', 'a/2'), edge('c/1', 'd/1')], dirname)), ['a -> b -> c -> a']);
});

test('no file needs itself to be loaded', () => {
  assert.deepEqual(cyclesOf(edgesBetween(loaded, (path) => (/^(node|cluster|proto)\//.test(path) ? path : undefined))), []);
});

/** They join what the folders hold, so they know everybody; nothing else of their folders does. */
const COMPOSITION = ['node/main.ts', 'cluster/core/core.ts', 'cluster/core/engine.ts', 'cluster/core/status.ts'];

test('no folder needs itself to be loaded, by way of others', () => {
  // A file that needs nothing of the project is vocabulary: it is no step of a cycle.
  const needy = new Set(loaded.filter(({ to }) => /^(node|cluster)\//.test(to)).map(({ from }) => from));
  const folderOf = (path: string): string | undefined =>
    (!/^(node|cluster)\//.test(path) || !needy.has(path) ? undefined : COMPOSITION.includes(path) ? path : dirname(path));
  assert.deepEqual(cyclesOf(edgesBetween(loaded, folderOf)), []);
});

test(`no source is longer than ${LINES_MAX} lines`, () => {
  const files = globSync('{node,cluster,deploy,test}/**/*.ts', { cwd: project });
  const lengths = files.map((path) => ({ path, lines: readFileSync(join(project, path), 'utf8').split('\n').length - 1 }));
  assert.deepEqual(lengths.filter(({ lines }) => lines > LINES_MAX), []);
});

test('every limit of a limits.ts bounds something', () => {
  const files = ['node/limits.ts', 'node/ddns/limits.ts', 'node/history/limits.ts', 'node/notes/limits.ts'];
  const names = files.flatMap((file) => [...readFileSync(join(project, file), 'utf8').matchAll(/^export const (\w+)/gm)].map(([, name = '']) => name));
  assert.ok(names.length > 30);
  const users = written.filter(({ path }) => !files.includes(path));
  assert.deepEqual(names.filter((name) => !users.some(({ code }) => new RegExp(String.raw`\b${name}\b(?![^{}]*\}\s*from)`).test(code))), []);
});
