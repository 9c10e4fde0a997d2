/**
 * For the image's build: leaves of the development tools in package.json and package-lock.json those that compile. The
 * others, for tests, are half a gigabyte. Versions and checksums stay those of the lock file, and `npm ci` checks them.
 */
import { readFileSync, writeFileSync } from 'node:fs';

/** And what it reads of packages that come without types. */
const COMPILER = ['typescript', '@types/node', '@types/dns-packet'];

function edit(file, manifestOf) {
  const content = JSON.parse(readFileSync(file, 'utf8'));
  const manifest = manifestOf(content);
  manifest.devDependencies = Object.fromEntries(COMPILER.map((name) => [name, manifest.devDependencies[name]]));
  writeFileSync(file, JSON.stringify(content, undefined, 2));
}

edit('package.json', (content) => content);
edit('package-lock.json', (content) => content.packages['']);
