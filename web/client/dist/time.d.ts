export declare const wait: (ms: number) => Promise<void>;
/** How long to wait before attempt number `attempt`: longer each time, and never the same for all clients. */
export declare function pauseBefore(attempt: number): number;
/** A timer that is set anew by each call of `set`. */
export declare class Timer {
    #private;
    get isSet(): boolean;
    set(ms: number, then: () => void): void;
    clear(): void;
}
