/** The usage of a test's own command: what it takes, `--help`, and exit code 2 for anything else. */
import { Command, InvalidArgumentError } from 'commander';

/** `name` is the npm script's. */
export function testCommand(name: string, description: string): Command {
  return new Command(name).usage('[-- OPTIONS]').description(description).allowExcessArguments(false)
    .showHelpAfterError('(--help shows the options)')
    .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2));
}

/** Reads an option's value: a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(max === Number.MAX_SAFE_INTEGER ? `Expected a whole number from ${min} on.` : `Expected a whole number from ${min} to ${max}.`);
    }
    return value;
  };
}
