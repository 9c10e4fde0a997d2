/**
 * Questions to one name server: over UDP, again where no answer comes, or over TCP; signed where there is a key. Only what
 * the asked server answers, to this very request and with its signature, is an answer.
 */
import { randomInt } from 'node:crypto';
import { DNS_DATAGRAM_BYTES_MAX, DNS_TCP_MS, DNS_TRANSFER_IDLE_MS, DNS_TRIES_MS } from '../limits.ts';
import { wallSeconds } from '../../time.ts';
import type { Now } from '../../time.ts';
import { AnswerVerifier, signRequest, verifyAnswer } from '../tsig.ts';
import type { SignedRequest, TsigKey, Verdict } from '../tsig.ts';
import type { DnsServer } from '../types.ts';
import type { ResponseCode } from '../update.ts';
import { decodeMessage, encodeQuery, TYPE_NUMBERS } from '../wire.ts';
import type { DnsMessage, WireRecord } from '../wire.ts';
import { tcpMessages } from './tcp-stream.ts';
import { UdpChannels } from './udp-channel.ts';
import type { AnswerListener, UdpChannel } from './udp-channel.ts';

export interface DnsRequest {
  /** Name and type that the answer may repeat; the name lower case. */
  readonly question: { readonly name: Buffer; readonly type: number };
  /** Not signed. */
  encode(id: number): Buffer;
  /** Asked before each message leaves, repetitions too. */
  mayLeave?(): boolean;
}

export type ServerAnswer =
  | { readonly kind: 'answer'; readonly message: DnsMessage }
  /** The server does not take the request's signature. */
  | { readonly kind: 'rejected'; readonly code: ResponseCode; readonly detail: string }
  /** Somebody answers who does not prove to be the server: it need not be the zone's, or has not got the key. */
  | { readonly kind: 'unproven'; readonly reason: string }
  | { readonly kind: 'silent'; readonly reason: string }
  /** `mayLeave` said no. */
  | { readonly kind: 'withdrawn' };

const WITHDRAWN = { kind: 'withdrawn' } as const;

/** What happened on the way; plain counts for metrics. */
export interface ClientCounts {
  /** Datagrams and connections with a request, repetitions too. */
  sent: number;
  repeated: number;
  overTcp: number;
  /** What came and was no answer: malformed, to another question, or not signed as it must be. */
  ignored: number;
}

export class DnsTransferError extends Error {
  readonly code = 'dns-transfer';
  readonly server: DnsServer;

  constructor(server: DnsServer, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.name = 'DnsTransferError';
    this.server = server;
  }
}

export class DnsClient {
  readonly counts: ClientCounts = { sent: 0, repeated: 0, overTcp: 0, ignored: 0 };
  readonly #now: () => Now;
  readonly #channels = new UdpChannels();
  readonly #closing = new AbortController();

  constructor(now: () => Now) {
    this.#now = now;
  }

  async ask(server: DnsServer, request: DnsRequest, key: TsigKey | undefined): Promise<ServerAnswer> {
    if (this.#closing.signal.aborted) return { kind: 'silent', reason: 'closed' };
    const outcome = await new Promise<ServerAnswer | 'use-tcp'>((resolve) => {
      const asked = new UdpRequest(this.#channels.to(server), request, key, this.#now, this.counts, resolve);
      asked.start();
    });
    if (outcome !== 'use-tcp' && !(outcome.kind === 'answer' && outcome.message.truncated)) return outcome;
    return this.#askOverTcp(server, request, key);
  }

  async #askOverTcp(server: DnsServer, request: DnsRequest, key: TsigKey | undefined): Promise<ServerAnswer> {
    if (request.mayLeave?.() === false) return WITHDRAWN;
    const id = randomInt(65_536);
    const signed = signedRequest(request.encode(id), key, this.#now());
    const judge = new AnswerJudge(request, id, signed, key);
    this.counts.sent++;
    this.counts.overTcp++;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(DNS_TCP_MS)]);
    try {
      for await (const bytes of tcpMessages(server, signed.bytes, DNS_TCP_MS, signal)) {
        const answer = judge.accept(bytes, this.#now());
        if (answer !== undefined) return answer;
        this.counts.ignored++;
      }
      return judge.lastWord('the connection ended without an answer');
    } catch (error) {
      return judge.lastWord(reasonOf(error));
    }
  }

  /**
   * All records of a zone (AXFR, RFC 5936), as they come; the SOA record once. What has been given is right as far as it goes:
   * all of the zone only where the end is reached. Rejects with a DnsTransferError.
   */
  async* transfer(server: DnsServer, zone: Buffer, key: TsigKey | undefined): AsyncGenerator<WireRecord, void> {
    const id = randomInt(65_536);
    const signed = signedRequest(encodeQuery(id, zone, 'AXFR'), key, this.#now());
    const verifier = key === undefined ? undefined : new AnswerVerifier(key, signed.mac);
    this.counts.sent++;
    this.counts.overTcp++;
    let startsOfAuthority = 0;
    // Of messages without a signature: they count when one with a signature has come.
    let unproven: WireRecord[] = [];
    try {
      for await (const bytes of tcpMessages(server, signed.bytes, DNS_TRANSFER_IDLE_MS, this.#closing.signal)) {
        const message = decodeMessage(bytes);
        if (message === undefined || !message.isResponse || message.id !== id) throw new DnsTransferError(server, 'sends what is no answer');
        const records = message.records.filter(({ section }) => section === 'answer');
        const isWrongStart = startsOfAuthority === 0 && records[0]?.type !== TYPE_NUMBERS.SOA;
        startsOfAuthority += records.filter(({ name, type }) => type === TYPE_NUMBERS.SOA && name.equals(zone)).length;
        const isLast = startsOfAuthority >= 2 || message.code !== 'NOERROR';
        const verdict = verifier?.accept(bytes, message, isLast, wallSeconds(this.#now().wall));
        if (verdict?.ok === false) throw new DnsTransferError(server, verdictText(verdict));
        if (message.code !== 'NOERROR') throw new DnsTransferError(server, message.code);
        if (isWrongStart || startsOfAuthority === 0) throw new DnsTransferError(server, 'sends a transfer that does not begin with the SOA record');
        unproven.push(...(startsOfAuthority >= 2 ? records.slice(0, -1) : records));
        if (verifier === undefined || message.records.some(({ type }) => type === TYPE_NUMBERS.TSIG)) {
          yield* unproven;
          unproven = [];
        }
        if (startsOfAuthority >= 2) return;
      }
    } catch (error) {
      throw error instanceof DnsTransferError ? error : new DnsTransferError(server, reasonOf(error), { cause: error });
    }
    throw new DnsTransferError(server, 'ends the transfer before its end');
  }

  /** Whoever waits gets no answer. */
  close(): void {
    this.#closing.abort(new Error('closed'));
    this.#channels.close();
  }
}

/** One request over UDP with its repetitions (DNS_TRIES_MS). */
class UdpRequest implements AnswerListener {
  readonly #channel: UdpChannel;
  readonly #request: DnsRequest;
  readonly #now: () => Now;
  readonly #counts: ClientCounts;
  readonly #settle: (answer: ServerAnswer | 'use-tcp') => void;
  readonly #id: number;
  readonly #signed: SignedRequest;
  readonly #judge: AnswerJudge;
  #try = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(channel: UdpChannel, request: DnsRequest, key: TsigKey | undefined, now: () => Now, counts: ClientCounts, settle: (answer: ServerAnswer | 'use-tcp') => void) {
    this.#channel = channel;
    this.#request = request;
    this.#now = now;
    this.#counts = counts;
    this.#settle = settle;
    this.#id = channel.claim(this);
    this.#signed = signedRequest(request.encode(this.#id), key, now());
    this.#judge = new AnswerJudge(request, this.#id, this.#signed, key);
  }

  start(): void {
    if (this.#signed.bytes.length > DNS_DATAGRAM_BYTES_MAX) this.#end('use-tcp');
    else this.#send();
  }

  onDatagram(bytes: Buffer): void {
    const answer = this.#judge.accept(bytes, this.#now());
    if (answer === undefined) this.#counts.ignored++;
    else this.#end(answer);
  }

  onFailure(reason: string): void {
    this.#end({ kind: 'silent', reason });
  }

  #send(): void {
    if (this.#request.mayLeave?.() === false) {
      this.#end(WITHDRAWN);
      return;
    }
    this.#counts.sent++;
    if (this.#try > 0) this.#counts.repeated++;
    this.#channel.send(this.#signed.bytes);
    this.#timer = setTimeout(() => this.#onTimeout(), DNS_TRIES_MS[this.#try]);
  }

  #onTimeout(): void {
    this.#try++;
    // RFC 8945 §5.4: a signed answer is waited for, beside one without. Who does not sign will not sign the next one.
    if (this.#try === DNS_TRIES_MS.length || this.#judge.hasHeard) {
      this.#end(this.#judge.lastWord('no answer'));
      return;
    }
    this.#send();
  }

  #end(answer: ServerAnswer | 'use-tcp'): void {
    clearTimeout(this.#timer);
    this.#channel.release(this.#id);
    this.#settle(answer);
  }
}

/** Tells the answer to one request from everything else that comes. */
class AnswerJudge {
  readonly #request: DnsRequest;
  readonly #id: number;
  readonly #signed: SignedRequest;
  readonly #key: TsigKey | undefined;
  readonly #opcode: number;
  /** What somebody said who cannot prove to be the server (RFC 8945 §5.4). */
  #unproven: { readonly code: ResponseCode | undefined; readonly detail: string } | undefined;

  constructor(request: DnsRequest, id: number, signed: SignedRequest, key: TsigKey | undefined) {
    this.#request = request;
    this.#id = id;
    this.#signed = signed;
    this.#key = key;
    this.#opcode = (signed.bytes[2]! >> 3) & 15;
  }

  /** Somebody has answered, without a signature that holds. */
  get hasHeard(): boolean {
    return this.#unproven !== undefined;
  }

  /** Undefined: not an answer to this request, or nobody knows whose. */
  accept(bytes: Buffer, now: Now): ServerAnswer | undefined {
    const message = decodeMessage(bytes);
    if (message === undefined || !message.isResponse || message.id !== this.#id || message.opcode !== this.#opcode || !this.#repeats(message)) return undefined;
    if (this.#key === undefined) return { kind: 'answer', message };
    const verdict = verifyAnswer(bytes, message, this.#key, this.#signed.mac, wallSeconds(now.wall));
    if (verdict.ok) return { kind: 'answer', message };
    if (verdict.kind === 'refused') return { kind: 'rejected', code: verdict.code, detail: verdictText(verdict, now) };
    this.#unproven = { code: verdict.code, detail: verdict.code ?? `answers ${message.code} with ${PROBLEM_TEXTS[verdict.problem]}` };
    return undefined;
  }

  /** When no more is waited for. */
  lastWord(reason: string): ServerAnswer {
    if (this.#unproven === undefined) return { kind: 'silent', reason };
    const { code, detail } = this.#unproven;
    return code === undefined ? { kind: 'unproven', reason: detail } : { kind: 'rejected', code, detail };
  }

  #repeats({ question }: DnsMessage): boolean {
    const { name, type } = this.#request.question;
    return question === undefined || (question.type === type && question.name.equals(name));
  }
}

function signedRequest(bytes: Buffer, key: TsigKey | undefined, now: Now): SignedRequest {
  return key === undefined ? { bytes, mac: Buffer.alloc(0) } : signRequest(bytes, key, wallSeconds(now.wall));
}

/** For people. */
function verdictText(verdict: Verdict & { ok: false }, now?: Now): string {
  if (verdict.kind === 'unverified') return verdict.code ?? `answers with ${PROBLEM_TEXTS[verdict.problem]}`;
  if (verdict.serverTime === undefined || now === undefined) return verdict.code;
  const ahead = verdict.serverTime - wallSeconds(now.wall);
  return `${verdict.code}: its clock is ${Math.abs(ahead)} s ${ahead < 0 ? 'behind' : 'ahead of'} this host's`;
}

const PROBLEM_TEXTS: Readonly<Record<(Verdict & { ok: false; kind: 'unverified' })['problem'], string>> = {
  'no-signature': 'no signature',
  'malformed-signature': 'a malformed signature',
  'other-key': 'the signature of another key',
  'wrong-signature': 'a wrong signature',
  'shortened-signature': 'a shortened signature',
  'wrong-time': 'a signature of another time than this host\'s clock shows',
  'signature-missing': 'messages without a signature',
};

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return error instanceof Error && error.name === 'TimeoutError' ? 'no answer' : code ?? message;
}
