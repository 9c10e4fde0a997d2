/** Classes and requests for the tests of the matcher. */
import { ClassMatcher } from '../../node/classes/matcher.ts';
import type { ClassSet } from '../../node/classes/matcher.ts';
import type { ClassConfig, Condition, Subject, Test } from '../../node/classes/types.ts';
import type { DhcpMessage } from '../../node/codec/message.ts';

export function classes(conditions: readonly Condition[], fields: Partial<Record<number, Partial<ClassConfig>>> = {}): ClassConfig[] {
  return conditions.map((condition, index) => ({
    index, name: `class-${index}`, condition, overlay: { options: [] }, drop: false, ...fields[index],
  }));
}

export const option = (code: number, ...path: number[]): Subject => ({ from: 'option', code, path });
export const enterprise = (code: number, number: number, ...path: number[]): Subject => ({ from: 'option', code, path, enterprise: number });
export const is = (subject: Subject, test: Test): Condition => ({ kind: 'test', subject, test });
export const exists = (subject: Subject): Condition => is(subject, { kind: 'exists' });

/** Values as text, or as bytes. */
export function values(kind: 'equals' | 'prefix' | 'contains', ...listed: readonly (string | readonly number[])[]): Test {
  return { kind, values: listed.map((value) => (typeof value === 'string' ? Buffer.from(value) : Buffer.from(value))) };
}

export const equals = (subject: Subject, ...listed: readonly (string | readonly number[])[]): Condition => is(subject, values('equals', ...listed));
export const not = (of: Condition): Condition => ({ kind: 'not', of });
export const all = (...of: readonly Condition[]): Condition => ({ kind: 'all', of });
export const any = (...of: readonly Condition[]): Condition => ({ kind: 'any', of });
export const inClass = (index: number): Condition => ({ kind: 'class', index });

export interface RequestFields {
  readonly interfaceName?: string;
  readonly known?: boolean;
}

export function match(matcher: ClassMatcher, message: DhcpMessage, { interfaceName = 'eth0', known = false }: RequestFields = {}): ClassSet {
  return matcher.match({ message, interfaceName, known });
}

/** The indexes of the conditions that a message meets, each taken as a class. */
export function met(conditions: readonly Condition[], message: DhcpMessage, fields: RequestFields = {}): readonly number[] {
  return match(new ClassMatcher(classes(conditions)), message, fields).indexes;
}
