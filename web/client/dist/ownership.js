import { randomId } from "./ids.js";
/**
 * Which tab sends what. Each tab holds a Web Lock of its own name while it lives, so others see its end.
 * Without Web Locks nobody is taken to live but oneself: two may then send the same message, which the
 * server stores once by its clientMessageId.
 */
export class Ownership {
    id = randomId();
    #living = new Set();
    #claimed = null;
    /** Say that this tab lives; resolves when others can see it. */
    claim() {
        this.#claimed ??= new Promise((resolve) => {
            const { locks } = this;
            if (!locks)
                return resolve();
            void locks.request(nameOf(this.id), () => {
                resolve();
                return new Promise(() => { }); // for as long as this tab lives
            });
        });
        return this.#claimed;
    }
    /** Whether another tab of this name is known to live. */
    isAlive(owner) {
        return this.#living.has(owner);
    }
    /** Resolve once the tab of this name is gone. */
    async afterTheEndOf(owner) {
        const { locks } = this;
        if (!locks || owner === this.id)
            return;
        this.#living.add(owner);
        await locks.request(nameOf(owner), () => { });
        this.#living.delete(owner);
    }
    get locks() {
        return globalThis.navigator?.locks;
    }
}
function nameOf(owner) {
    return `parley-outbox ${owner}`;
}
