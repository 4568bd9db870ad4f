/** Listeners by the name of what they hear. */
export class Emitter {
    #listeners = new Map();
    on(name, listener) {
        const listeners = this.#listeners.get(name) ?? new Set();
        this.#listeners.set(name, listeners.add(listener));
        return () => void listeners.delete(listener);
    }
    /** Tell all listeners; what one of them throws is reported, and keeps nobody else from hearing. */
    emit(name, value) {
        for (const listener of [...(this.#listeners.get(name) ?? [])]) {
            try {
                listener(value);
            }
            catch (error) {
                queueMicrotask(() => {
                    throw error;
                });
            }
        }
    }
}
