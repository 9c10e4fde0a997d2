/**
 * What an option's value is made of, as data: the table of options, the sub-options and the definitions of a
 * configuration are written in these words, and the rules of each type (option-rules.ts) follow them.
 */

/** How a value lies on the wire; numbers are big-endian. */
export type OptionType =
  /** One IPv4 address. */
  | 'ip'
  /** One IPv6 address. */
  | 'ipv6'
  /** A prefix: its length in one byte, then the bytes that it reaches into (RFC 3442). */
  | 'prefix' | 'ipv6-prefix'
  | 'u8' | 'u16' | 'u32'
  /** Two's complement. */
  | 'i8' | 'i16' | 'i32'
  /** 0 or 1. */
  | 'bool'
  /** No bytes: that the option is there says it all. */
  | 'flag'
  /** UTF-8 without a NUL (RFC 2132 asks for NVT ASCII; clients send more). */
  | 'text'
  /** Text with a scheme (RFC 3986). */
  | 'uri'
  /** Anything, written as pairs of hexadecimal digits. */
  | 'bytes'
  /** Visible ASCII, or anything else as `{hex: "01:0a"}`. */
  | 'text-or-bytes'
  /** One domain name, uncompressed (RFC 1035 §3.1). */
  | 'fqdn'
  /** Domain names to the end of the option; read compressed or not (RFC 1035 §4.1.4). */
  | 'domain-list'
  /** A prefix and a router (RFC 3442). */
  | 'route'
  /** `of`, after its length in `lengthBytes` bytes. */
  | 'sized'
  /** `fields`, one after the other. */
  | 'record'
  /** `bits`, from the highest bit of the first byte on. */
  | 'bit-fields'
  /** Code, length and value of each of `suboptions`. */
  | 'suboptions'
  /** Enterprise number, length and `of` for each enterprise (RFC 3925). */
  | 'by-enterprise'
  /** Domain names or IPv4 addresses, and a byte before them that tells which (RFC 3361 §3). */
  | 'names-or-addresses'
  /** RFC 3004, or the bare text that many clients send. */
  | 'user-class'
  /** RFC 4702 §2. */
  | 'client-fqdn';

export interface ValueShape {
  readonly type: OptionType;
  /** Values of the type one after the other, to the end. */
  readonly array?: true;
  /** Entries of an array; at least 1 where absent. */
  readonly minCount?: number;
  readonly maxCount?: number;
  /** Bytes of text or bytes; at least 1 where absent. */
  readonly minBytes?: number;
  readonly maxBytes?: number;
  /** Bounds of a number, inclusive; the type's own where absent. */
  readonly min?: number;
  readonly max?: number;
  /** `min` does not keep 0 out. */
  readonly orZero?: true;
  /** The only numbers that are allowed, with their names. */
  readonly values?: Readonly<Record<number, string>>;
  /** `ip`: 0.0.0.0 is none. */
  readonly notZero?: true;
  /** `domain-list`: written with compression. */
  readonly compressed?: true;
  /** `sized`. */
  readonly lengthBytes?: 1 | 2;
  /** `sized`: what the length counts has so many bytes; 1 where absent. */
  readonly unitBytes?: 4;
  /** `sized`, `by-enterprise`. */
  readonly of?: ValueShape;
  /** `record`: all with names, which make a map of it, or all without. */
  readonly fields?: readonly Field[];
  readonly bits?: readonly BitField[];
  /** `suboptions`: those with a definition; the others are bytes. */
  readonly suboptions?: readonly OptionDefinition[];
  /** `suboptions`: codes and lengths have two bytes, and the codes rise (RFC 9460 §2.2). */
  readonly wide?: true;
  /** `suboptions`: codes that may not be there. */
  readonly excluded?: readonly number[];
  /** `suboptions`: padding and an end may be among them (RFC 2132 §8.4). */
  readonly padded?: true;
  /** `suboptions`: what is no sequence of sub-options is bytes. */
  readonly orBytes?: true;
  /** `suboptions`: of a vendor, by its name. `by-enterprise`: of an enterprise, by its number. */
  readonly spaces?: OptionSpaces;
}

export type OptionSpaces = Readonly<Record<string, readonly OptionDefinition[]>>;

export interface Field extends ValueShape {
  readonly name?: string;
  /** It and what follows may be missing. */
  readonly optional?: true;
}

export interface BitField {
  /** Absent: reserved, written as 0 and not looked at. */
  readonly name?: string;
  readonly bits: number;
  /** Two's complement. */
  readonly signed?: true;
  /** Bits after the binary point. */
  readonly fraction?: number;
}

/**
 * Who decides the value. `configuration`: may be set under `options`. `server`: follows from the rest
 * of the configuration or the protocol, a configured one would contradict it. `client`: only clients
 * and relays send it.
 */
export type OptionOrigin = 'configuration' | 'server' | 'client';

/** An option, or a sub-option of one. */
export interface OptionDefinition extends ValueShape {
  readonly code: number;
  readonly name: string;
  readonly origin: OptionOrigin;
  /** Where it is defined; empty where nobody but the configuration defines it. */
  readonly rfc: string;
}

/** A value as it is shown, and as it can be configured. */
export type OptionJson = string | number | boolean | readonly OptionJson[] | { readonly [key: string]: OptionJson };

/** A fragment of JSON Schema (2020-12). */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** Reads and writes any shape; what the rules of composed types are given for their parts. */
export interface ValueRules {
  /** Undefined: not a value of this shape, or out of bounds. */
  write(value: unknown, shape: ValueShape): Buffer | undefined;
  /** Undefined: malformed. */
  read(bytes: Buffer, shape: ValueShape): OptionJson | undefined;
  /** Bytes of the value at `at` when something may follow it; undefined: cut off, or it goes to the end whatever comes. */
  extent(bytes: Buffer, at: number, shape: ValueShape): number | undefined;
  describe(shape: ValueShape): string;
  schema(shape: ValueShape): JsonSchema;
}

/** The rules of one type, for a single value: arrays are everybody's. */
export interface TypeRules {
  write(value: unknown, shape: ValueShape, inner: ValueRules): Buffer | undefined;
  read(bytes: Buffer, shape: ValueShape, inner: ValueRules): OptionJson | undefined;
  /** At least 1. Absent: the value goes to the end of what it is in. */
  extent?(bytes: Buffer, at: number, shape: ValueShape, inner: ValueRules): number | undefined;
  describe(shape: ValueShape, inner: ValueRules): string;
  /** Of an array; "a list, each entry ..." where absent. */
  readonly describeList?: string;
  schema(shape: ValueShape, inner: ValueRules): JsonSchema;
}
