const LONGEST_TIMER_MS = 2 ** 31 - 1;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 15_000;

export const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS)));

/** How long to wait before attempt number `attempt`: longer each time, and never the same for all clients. */
export function pauseBefore(attempt: number): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10));
  return longest * (0.5 + Math.random() / 2);
}

/** A timer that is set anew by each call of `set`. */
export class Timer {
  #handle: ReturnType<typeof setTimeout> | undefined;

  get isSet(): boolean {
    return this.#handle !== undefined;
  }

  set(ms: number, then: () => void): void {
    this.clear();
    this.#handle = setTimeout(
      () => {
        this.#handle = undefined;
        then();
      },
      Math.max(0, Math.min(ms, LONGEST_TIMER_MS)),
    );
  }

  clear(): void {
    clearTimeout(this.#handle);
    this.#handle = undefined;
  }
}
