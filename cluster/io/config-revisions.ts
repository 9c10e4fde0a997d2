/**
 * A revision of the cluster's configuration as it lies in etcd: a record, and the text in pieces, compressed,
 * well under etcd's limit for one request.
 *
 *     config/pieces/<hash>/<number>   gzip of cluster.yaml, a piece each
 *     config/revisions/<number>       the record of each revision that is kept
 *     config/revision                 the record of the newest one
 *
 * A piece never changes: its hash is that of all the bytes it is part of.
 */
import { createHash } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import * as z from 'zod';
import type { View } from '../view/view.ts';
import { CONFIG_BYTES_MAX, CONFIG_COMMENT_CHARACTERS_MAX, CONFIG_PIECE_BYTES, CONFIG_PIECES_MAX } from '../../node/limits.ts';

export const NEWEST_KEY = 'config/revision';
export const REVISIONS_PREFIX = 'config/revisions/';
export const PIECES_PREFIX = 'config/pieces/';

/** Fields are only added: an older node reads what a newer one wrote. */
const schema = z.object({
  revision: z.int().min(1),
  hash: z.string().regex(/^[0-9a-f]{16,64}$/),
  pieces: z.int().min(1).max(CONFIG_PIECES_MAX),
  /** Of the text, and of all pieces. */
  bytes: z.int().min(0).default(0),
  stored: z.int().min(0).default(0),
  /** ISO 8601 UTC. */
  at: z.string().default(''),
  by: z.string().default(''),
  comment: z.string().default(''),
  /** The revision that was the newest one before; 0: none. */
  previous: z.int().min(0).default(0),
  /** Drawn for each write: whose it was can be told after a lost answer. */
  id: z.string().default(''),
});

export type ConfigRevision = Readonly<z.output<typeof schema>>;

/** What etcd holds of a revision is not whole: no retry mends it, a new revision does. */
export class ConfigDamaged extends Error {
  readonly code: 'record-unreadable' | 'piece-missing' | 'pieces-corrupt';

  constructor(code: ConfigDamaged['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigDamaged';
    this.code = code;
  }
}

/** Larger than etcd should hold. */
export class ConfigTooLarge extends Error {
  readonly code = 'config-too-large';
}

/** @throws ConfigDamaged */
export function decodeRevision(key: string, value: Buffer): ConfigRevision {
  try {
    return schema.parse(JSON.parse(value.toString()));
  } catch (cause) {
    throw new ConfigDamaged('record-unreadable', `etcd's ${key} is no record of a configuration revision that this version can read`, { cause });
  }
}

export function encodeRevision(revision: ConfigRevision): Buffer {
  const cut = (text: string): string => text.slice(0, CONFIG_COMMENT_CHARACTERS_MAX);
  return Buffer.from(JSON.stringify({ ...revision, by: cut(revision.by), comment: cut(revision.comment) }));
}

export interface PackedConfig {
  readonly hash: string;
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
  readonly stored: number;
}

/** @throws ConfigTooLarge */
export function packConfig(text: string): PackedConfig {
  const bytes = Buffer.byteLength(text);
  if (bytes > CONFIG_BYTES_MAX) throw new ConfigTooLarge(`the configuration has ${bytes} bytes: expected at most ${CONFIG_BYTES_MAX}`);
  const packed = gzipSync(text);
  const pieces: Buffer[] = [];
  for (let at = 0; at < packed.length; at += CONFIG_PIECE_BYTES) pieces.push(packed.subarray(at, at + CONFIG_PIECE_BYTES));
  if (pieces.length > CONFIG_PIECES_MAX) {
    throw new ConfigTooLarge(`the configuration has ${packed.length} bytes when compressed: expected at most ${CONFIG_PIECES_MAX * CONFIG_PIECE_BYTES}`);
  }
  return { hash: hashOf(packed), pieces, bytes, stored: packed.length };
}

/** The text, if the bytes are what the record says. @throws ConfigDamaged */
export function unpackConfig({ revision, hash }: ConfigRevision, pieces: readonly Buffer[]): string {
  const corrupt = (options?: ErrorOptions): ConfigDamaged =>
    new ConfigDamaged('pieces-corrupt', `the pieces of configuration revision ${revision} in etcd are damaged`, options);
  const packed = Buffer.concat(pieces);
  let text: string;
  try {
    text = gunzipSync(packed, { maxOutputLength: CONFIG_BYTES_MAX }).toString();
  } catch (cause) {
    throw corrupt({ cause });
  }
  // The first version of this format named pieces by their text.
  if (hash !== hashOf(packed) && hash !== createHash('sha256').update(text).digest('hex').slice(0, 16)) throw corrupt();
  return text;
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

export interface NumberedBy {
  /** The number of the newest revision that etcd has; 0: none. */
  readonly newest: number;
  readonly view: View | undefined;
  /** What the nodes whose sessions stand say of themselves: the JSON of `nodes/<id>`. */
  readonly nodes: readonly Readonly<Record<string, unknown>>[];
}

/**
 * The number of the next revision: above any that a node has in force or ready. An etcd that was restored from
 * a backup has forgotten some, and one number must not stand for two configurations.
 */
export function nextRevision({ newest, nodes, view }: NumberedBy): number {
  const known = [newest, view?.configRevision ?? 0];
  for (const { config } of nodes) {
    const { loaded, prepared } = (config ?? {}) as Record<string, unknown>;
    for (const number of [loaded, prepared]) if (typeof number === 'number' && Number.isSafeInteger(number)) known.push(number);
  }
  return Math.max(...known) + 1;
}

export function revisionKey(revision: number): string {
  return `${REVISIONS_PREFIX}${String(revision).padStart(10, '0')}`;
}

export function pieceKey(hash: string, piece: number): string {
  return `${PIECES_PREFIX}${hash}/${String(piece).padStart(4, '0')}`;
}

export function piecesOf(hash: string): string {
  return `${PIECES_PREFIX}${hash}/`;
}
