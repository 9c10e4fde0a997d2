/** `lessor api`: the description of the API, for tools that make clients of it. */
import type { Command } from 'commander';
import type { CliOutput } from './output.ts';

export function addApiCommand(program: Command, output: CliOutput): void {
  program.command('api')
    .description('print the description of the API (OpenAPI 3.1), which a node answers at /v1/openapi.json as well')
    .action(async () => {
      // Every operation's schema is made for it: other commands need none of them.
      const [{ apiText }, { OPERATIONS }] = await Promise.all([import('../admin/openapi.ts'), import('../admin/operations/all.ts')]);
      await output.out(apiText(OPERATIONS));
    });
}
