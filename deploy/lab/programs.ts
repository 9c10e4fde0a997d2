/**
 * Where the programs are that the lab and the tests run: in PATH, or unpacked by `install.sh`.
 */
import { accessSync, constants, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export type ProgramName =
  | 'ip' | 'etcd' | 'etcdctl' | 'udhcpc' | 'dhclient' | 'dhcpcd' | 'dhcrelay' | 'perfdhcp' | 'kea-dhcp4' | 'dhcpd' | 'tshark' | 'nft' | 'tc' | 'faketime' | 'openssl' | 'systemd-analyze'
  | 'prometheus' | 'promtool' | 'dockerd' | 'containerd' | 'runc' | 'busybox' | 'setpriv' | 'unshare' | 'flock'
  | 'named' | 'knotd' | 'dig';

export interface Program {
  /** Absolute path. */
  readonly command: string;
  /** To be added to the environment; empty for a program of the system. */
  readonly env: Readonly<Record<string, string>>;
  /** The root that its data files lie under: `/`, or the folder that it was unpacked into. */
  readonly root: string;
}

const unpacked = join(import.meta.dirname, '../../.cache/debian/root');

/** Debian leaves the sbin folders out of an ordinary user's PATH. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const UNPACKED_FOLDERS = ['usr/sbin', 'usr/bin', 'sbin', 'bin'];

function firstExecutable(folders: readonly string[], name: string): string | undefined {
  return folders.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** What an unpacked program needs to find its libraries and data where they are. */
function unpackedEnvironment(name: ProgramName): Record<string, string> {
  // systemd keeps a library of its own beside its programs.
  const libraries = ['usr/lib/*-linux-gnu*', 'lib/*-linux-gnu*', 'usr/lib/*-linux-gnu*/systemd', 'lib/systemd'].flatMap((pattern) => globSync(join(unpacked, pattern)));
  const env: Record<string, string> = { LD_LIBRARY_PATH: libraries.join(':') };
  if (name === 'tshark') {
    env['WIRESHARK_DATA_DIR'] = join(unpacked, 'usr/share/wireshark');
    const plugins = globSync(join(unpacked, 'usr/lib/*-linux-gnu*/wireshark/plugins'))[0];
    if (plugins !== undefined) env['WIRESHARK_PLUGIN_DIR'] = plugins;
  }
  if (name === 'openssl') env['OPENSSL_CONF'] = join(unpacked, 'etc/ssl/openssl.cnf');
  if (name === 'kea-dhcp4') env['KEA_LFC_EXECUTABLE'] = join(unpacked, 'usr/sbin/kea-lfc');
  return env;
}

/** The program, or undefined where it is neither in PATH nor unpacked: `deploy/lab/install.sh` gets it. */
export function findProgram(name: ProgramName): Program | undefined {
  const system = firstExecutable([...(process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== ''), ...SYSTEM_FOLDERS], name);
  if (system !== undefined) return { command: system, env: {}, root: '/' };
  const own = firstExecutable(UNPACKED_FOLDERS.map((folder) => join(unpacked, folder)), name);
  if (own !== undefined) return { command: own, env: unpackedEnvironment(name), root: unpacked };
  return undefined;
}

/** Where Perl finds the libraries that `install.sh` has unpacked. */
export const PERL_LIBRARIES = join(unpacked, 'usr/share/perl5');

/** Thrown by `requireProgram`. */
export class ProgramMissing extends Error {
  readonly program: ProgramName;

  constructor(program: ProgramName) {
    super(`${program} is neither in PATH nor in .cache/debian; run deploy/lab/install.sh lab test bench as root`);
    this.name = 'ProgramMissing';
    this.program = program;
  }
}

export function requireProgram(name: ProgramName): Program {
  const program = findProgram(name);
  if (program === undefined) throw new ProgramMissing(name);
  return program;
}

/** Those of `names` that are not there. */
export function missingPrograms(names: readonly ProgramName[]): ProgramName[] {
  return names.filter((name) => findProgram(name) === undefined);
}
