/**
 * The path of the program `lime-sandbox`.
 *
 * @throws Error There is none for this platform.
 */
export declare function binary(): string;
