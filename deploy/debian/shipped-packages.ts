/**
 * The files of the npm packages that Lessor is shipped with, each with a NUL behind it: for `tar --files-from`. Out of node_modules,
 * which `npm ci` has filled as package-lock.json says.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const project = join(import.meta.dirname, '../..');
const { packages } = JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
};

/** For compilers, for debuggers, for those who build the package itself, and for another libc. Licences and read-me files stay. */
const NOT_RUN = /\.(?:d\.[cm]?ts|[cm]?ts|tsx|map|flow|gyp|gypi|c|cc|cpp|h|hh|hpp|S|asm|def|o|a|yml|sh|tgz)$|\/(?:test|tests|__tests__|benchmarks?|deps)\/|\/\.|musl/;
/** Addons for the interface of one version of Node.js; the package's own takes those for any (napi). */
const OTHER_NODE = /\.abi\d+\./;
/** Types alone: nothing of them is there when the program runs. */
const TYPES = /^node_modules\/(?:@types\/|undici-types$)/;

const shipped = Object.entries(packages)
  .filter(([folder, { dev }]) => folder !== '' && dev !== true && !TYPES.test(folder) && existsSync(join(project, folder)))
  .map(([folder]) => folder);

/** Without those of packages inside it, which have entries of their own. */
function filesOf(folder: string): string[] {
  return readdirSync(join(project, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? (entry.name === 'node_modules' ? [] : filesOf(path)) : entry.isFile() ? [path] : [];
  });
}

for (const folder of shipped) {
  for (const path of filesOf(folder).toSorted()) if (!NOT_RUN.test(path.slice(folder.length)) && !OTHER_NODE.test(path)) process.stdout.write(`${path}\0`);
}
