/**
 * Client classes after the configuration was checked: what a client must show to be in one, and what
 * the class sets for it. Data only; matcher.ts makes a decision of it.
 */
import type { Identity, Overlay } from '../config/types.ts';

/** What of a request is looked at. Numbers are compared as the bytes that lie on the wire. */
export type Subject =
  /** An option's value; `path`: sub-options in it, outermost first (43, 82), for 124 and 125 after the enterprise number. */
  | { readonly from: 'option'; readonly code: number; readonly path: readonly number[]; readonly enterprise?: number }
  /** chaddr, hlen bytes; with an hlen of 0 there is none. */
  | { readonly from: 'hardware' }
  | { readonly from: 'htype' }
  /** 4 bytes; `exists`: it is not 0.0.0.0. */
  | { readonly from: 'giaddr' }
  | { readonly from: 'ciaddr' }
  /** The name of the interface that the request came in on. */
  | { readonly from: 'interface' };

/** A value is one of those listed, begins with one, or has one inside; or it is there at all. One that is not there passes none. */
export type Test =
  | { readonly kind: 'equals' | 'prefix' | 'contains'; readonly values: readonly Buffer[] }
  /** The 4 bytes are an address in one of these networks. */
  | { readonly kind: 'network'; readonly networks: readonly { readonly network: number; readonly prefixLength: number }[] }
  | { readonly kind: 'exists' };

export type Condition =
  | { readonly kind: 'test'; readonly subject: Subject; readonly test: Test }
  /** A class that stands before this one, by index; any other is taken for one that nobody is in. */
  | { readonly kind: 'class'; readonly index: number }
  /** Of no conditions `all` is met and `any` is not. */
  | { readonly kind: 'all' | 'any'; readonly of: readonly Condition[] }
  | { readonly kind: 'not'; readonly of: Condition }
  /** Built in: the client has a reservation; it speaks BOOTP (no option 53). */
  | { readonly kind: 'known' }
  | { readonly kind: 'bootp' };

export interface ClassConfig {
  readonly index: number;
  readonly name: string;
  readonly condition: Condition;
  readonly overlay: Overlay;
  /** Where it is set, it goes before the network's. */
  readonly identity?: Identity;
  /** Requests of its clients get no answer. */
  readonly drop: boolean;
}
