/** Why the control socket could not be opened, with what to do. The node serves clients without it. */
export class ControlListenError extends Error {
  readonly path: string;

  constructor(path: string, cause: unknown) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why = code === 'EINVAL' || code === 'ENAMETOOLONG' ? 'the path is too long for a socket (107 bytes): choose a shorter dataDir' : message;
    super(`cannot open the control socket ${path}: ${why}`, { cause });
    this.name = 'ControlListenError';
    this.path = path;
  }
}
