/**
 * When something becomes due, by wall-clock second: the end of a lease, or the moment from which an
 * ended one may go to another client. A wheel of one list a second; what lies more rounds ahead waits
 * in the same list and is passed by.
 *
 * The wall clock may step. Invariant: whatever is due before `#next` is in the overdue list, so nothing
 * is ever passed over: a step back only walks empty lists again, a step forward walks at most one round
 * at once, and `#next` moves past no second whose list has not been walked to its end.
 */
import type { AddressLists, Page, Pages } from './pages.ts';

/** Over 18 hours: leases of usual length wait within one round. */
export const WHEEL_SECONDS = 65_536;
export const DUE_LISTS = WHEEL_SECONDS + 1;

export class DueWheel {
  readonly #pages: Pages;
  readonly #lists: AddressLists;
  readonly #firstList: number;
  readonly #overdue: number;
  /** The next second whose list has not been walked. */
  #next = 0;

  /** Uses the lists `firstList` to `firstList + DUE_LISTS - 1`. */
  constructor(pages: Pages, lists: AddressLists, firstList: number) {
    this.#pages = pages;
    this.#lists = lists;
    this.#firstList = firstList;
    this.#overdue = firstList + WHEEL_SECONDS;
  }

  /** Empties nothing: says where walking begins. Call it with empty lists. */
  reset(second: number): void {
    this.#next = Math.max(0, second);
  }

  /** Files the address under its page's due second. */
  add(page: Page, address: number): void {
    const due = page.due[address & 255]!;
    this.#lists.append(due < this.#next ? this.#overdue : this.#firstList + (due % WHEEL_SECONDS), page, address);
  }

  /** Calls `fire` for addresses due at `second` or before, taken out of their list; at most `limit`. */
  walk(second: number, limit: number, fire: (page: Page, address: number) => void): void {
    let left = this.#walkList(this.#overdue, second, limit, fire, true);
    if (second + 1 < this.#next) this.#next = second + 1;
    for (let walked = 0; this.#next <= second && left > 0; walked++) {
      if (walked === WHEEL_SECONDS) {
        // A whole round in one go, after a long step forward: nothing due is left in any list.
        this.#next = second + 1;
        break;
      }
      left = this.#walkList(this.#firstList + (this.#next % WHEEL_SECONDS), second, left, fire, false);
      if (left > 0) this.#next++;
    }
  }

  #walkList(
    list: number, second: number, limit: number, fire: (page: Page, address: number) => void, refile: boolean,
  ): number {
    let left = limit;
    let address = this.#lists.first(list);
    while (address !== 0 && left > 0) {
      const page = this.#pages.of(address);
      const next = page.next[address & 255]!;
      if (page.due[address & 255]! <= second) {
        this.#lists.remove(page, address);
        fire(page, address);
        left--;
      } else if (refile) {
        // The clock stepped back since it was filed as overdue.
        this.#lists.remove(page, address);
        this.#lists.append(this.#firstList + (page.due[address & 255]! % WHEEL_SECONDS), page, address);
      }
      address = next;
    }
    return left;
  }
}
