/** Whether an id, a decimal string of up to 19 digits, is greater than another one; null is before all. */
export declare function isAfter(id: string, other: string | null | undefined): boolean;
export declare function latest(id: string | null, other: string | null): string | null;
/** 128 random bits; `crypto.randomUUID` is missing on pages without TLS. */
export declare function randomId(): string;
