/** Why the HTTP port could not be opened, with what to do. */

export type HttpListenCode = 'http-port-in-use' | 'http-port-forbidden' | 'http-address-unknown' | 'http-listen-failed';

export class HttpListenError extends Error {
  readonly code: HttpListenCode;
  readonly host: string;
  readonly port: number;
  /** What an operator should do. */
  readonly action: string;

  constructor(host: string, port: number, cause: unknown) {
    const { code, problem, action } = explain((cause as NodeJS.ErrnoException).code, port);
    super(`cannot listen for HTTP on ${host}:${port}: ${problem}. ${action}`, { cause });
    this.name = 'HttpListenError';
    this.code = code;
    this.host = host;
    this.port = port;
    this.action = action;
  }
}

function explain(errno: string | undefined, port: number): { code: HttpListenCode; problem: string; action: string } {
  switch (errno) {
    case 'EADDRINUSE':
      return {
        code: 'http-port-in-use',
        problem: 'the port is taken',
        action: `Stop the process that has it (ss -ltnp 'sport = :${port}' names it), or set another port at http.listen in node.yaml.`,
      };
    case 'EACCES':
      return {
        code: 'http-port-forbidden',
        problem: 'the port needs a privilege that this process does not have',
        action: 'Set a port from 1024 up at http.listen in node.yaml.',
      };
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return {
        code: 'http-address-unknown',
        problem: 'this host does not have the address',
        action: 'Set one of its own addresses, or 127.0.0.1, at http.listen in node.yaml.',
      };
    default:
      return {
        code: 'http-listen-failed',
        problem: errno ?? 'unknown error',
        action: 'Check http.listen in node.yaml.',
      };
  }
}
