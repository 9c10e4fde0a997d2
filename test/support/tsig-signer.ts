/** The server's side of TSIG for tests (RFC 8945 §5.3), written apart from the client's, with what may be wrong about it. */
import { createHmac } from 'node:crypto';
import { parseDomainName } from '../../node/codec/domain-name.ts';
import type { TsigKey } from '../../node/ddns/tsig.ts';

export interface ServerSignature {
  readonly key: TsigKey;
  /** MAC of the request, or of the message before. */
  readonly priorMac: Buffer;
  /** Seconds since 1970. */
  readonly at: number;
  /** Messages without a signature that this one covers too. */
  readonly unsigned?: readonly Buffer[];
  /** The second or a later message: of the variables only the timers are covered. */
  readonly isLater?: boolean;
  readonly error?: number;
  readonly other?: Buffer;
  readonly originalId?: number;
  /** Changes the MAC that is sent. */
  readonly alter?: (mac: Buffer) => Buffer;
  readonly fudgeSeconds?: number;
}

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 255);

/** The message with its TSIG record, and its MAC. */
export function serverSigned(message: Buffer, signature: ServerSignature): { bytes: Buffer; mac: Buffer } {
  const { alter = (mac) => mac, at, error = 0, fudgeSeconds = 300, isLater = false, key, originalId = message.readUInt16BE(0), other = Buffer.alloc(0), priorMac, unsigned = [] } = signature;
  const [name, algorithm] = [parseDomainName(key.name)!, parseDomainName(key.algorithm)!];
  const timers = Buffer.concat([u16(0), Buffer.of(at >>> 24, (at >>> 16) & 255, (at >>> 8) & 255, at & 255), u16(fudgeSeconds)]);
  const covered = Buffer.from(message);
  covered.writeUInt16BE(originalId, 0);
  const hmac = createHmac(key.algorithm.slice('hmac-'.length), key.secret);
  for (const part of [u16(priorMac.length), priorMac, ...unsigned, covered]) hmac.update(part);
  if (isLater) hmac.update(timers);
  else for (const part of [name, u16(255), u16(0), u16(0), algorithm, timers, u16(error), u16(other.length), other]) hmac.update(part);
  const mac = alter(hmac.digest());
  const data = Buffer.concat([algorithm, timers, u16(mac.length), mac, u16(originalId), u16(error), u16(other.length), other]);
  const bytes = Buffer.concat([message, name, u16(250), u16(255), u16(0), u16(0), u16(data.length), data]);
  bytes.writeUInt16BE(bytes.readUInt16BE(10) + 1, 10);
  return { bytes, mac };
}
