/**
 * Who a request over HTTP is from, and with which role. The rules:
 *
 * - a token gives its role, over TLS or from this host; one that came in the clear from elsewhere is burnt, and gives none;
 * - a client certificate gives the role that `http.roles` has for its name;
 * - this host without either may look on (viewer), as it always could; not through a proxy, and not under a foreign name,
 *   by which a page in a browser could ask in its user's place;
 * - nobody else has a role.
 */
import { isIP } from './ip-text.ts';
import type { Caller } from './operation.ts';
import type { Role } from './roles.ts';

/** What is known of who asks. */
export interface Asking {
  /** Address of the other end. */
  readonly from: string;
  /** The other end is this host. */
  readonly isLocal: boolean;
  readonly isEncrypted: boolean;
  /** As the request names the node. */
  readonly host: string;
  /** A header says that the request was passed on. */
  readonly isForwarded: boolean;
  readonly authorization: string | undefined;
  /** Of a certificate that the authority has signed: its DNS names and its common name. */
  readonly certificateNames: readonly string[] | undefined;
}

/** Whose a token is that was shown; a text: why it counts for nothing. */
export type FindToken = (token: string) => { readonly name: string; readonly role: Role } | string;

export interface Refused {
  readonly status: 401 | 403;
  readonly error: string;
  /** What was shown was no good, or should not have been shown: counted against who asks. */
  readonly isFailure: boolean;
  /** Whose token went over the network in the clear; empty: nobody's. */
  readonly exposed?: string;
}

export type Verdict = { readonly caller: Caller } | { readonly refused: Refused };

const HOW = 'show a token (Authorization: Bearer, lessor token create makes one), or a client certificate that http.roles names; or ask on the node\'s own host';

export function judge(asking: Asking, findToken: FindToken, roles: ReadonlyMap<string, Role>): Verdict {
  const { authorization, certificateNames, from, isLocal } = asking;
  if (authorization !== undefined) return judgeToken(asking, authorization, findToken);
  const named = (certificateNames ?? []).flatMap((name) => {
    const role = roles.get(name);
    return role === undefined ? [] : [{ name, role }];
  });
  const [first] = named;
  if (first !== undefined) return { caller: { ...first, via: 'certificate', from } };
  if (isLocal && !asking.isForwarded && isOwnName(asking.host)) return { caller: { name: '', role: 'viewer', via: 'loopback', from: '' } };
  if (certificateNames !== undefined) {
    const names = certificateNames.join(', ') || 'no name';
    return refuse(403, `http.roles in node.yaml gives no role to this certificate (${names})`);
  }
  return refuse(401, `nobody is let in without showing who it is: ${HOW}`);
}

function judgeToken({ from, isEncrypted, isLocal }: Asking, authorization: string, findToken: FindToken): Verdict {
  const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
  if (token === undefined) return failure('expected Authorization: Bearer and a token');
  const found = findToken(token);
  if (!isEncrypted && !isLocal) {
    const exposed = typeof found === 'string' ? '' : found.name;
    return { refused: {
      status: 401, isFailure: true, exposed,
      error: 'the token came in the clear and counts as known to others: use https (http.tls in node.yaml), take it out of the file of tokens (lessor token revoke), and make a new one',
    } };
  }
  return typeof found === 'string' ? failure(found) : { caller: { ...found, via: 'token', from } };
}

function refuse(status: Refused['status'], error: string): Verdict {
  return { refused: { status, error, isFailure: false } };
}

function failure(error: string): Verdict {
  return { refused: { status: 401, error, isFailure: true } };
}

/** No name that a stranger could let point here: an address, or a name without a dot. */
function isOwnName(host: string): boolean {
  const name = host.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
  return name !== '' && (isIP(name) || !name.includes('.'));
}
