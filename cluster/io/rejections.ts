/** Which refused links an operator is told of: a node that is not wanted comes back several times a second. */
import { LINK_REJECTION_AGAIN_MS, LINK_REJECTIONS_MAX } from '../../node/limits.ts';

export class Rejections {
  /** When each was told last, the one of longest ago first. */
  readonly #toldAt = new Map<string, number>();

  isNews(peer: string, detail: string, now: number): boolean {
    const text = `${peer} ${detail}`;
    const toldAt = this.#toldAt.get(text);
    if (toldAt !== undefined && now - toldAt < LINK_REJECTION_AGAIN_MS) return false;
    this.#toldAt.delete(text);
    if (this.#toldAt.size >= LINK_REJECTIONS_MAX) this.#toldAt.delete(this.#toldAt.keys().next().value!);
    this.#toldAt.set(text, now);
    return true;
  }
}
