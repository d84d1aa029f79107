/** Whatever has variables of the dialect: a call, or a request that is still being matched. Undefined is a variable without a value. */
export interface VariableSource {
  variable(name: string): string | number | undefined;
  /** All values of a variable that is a list, for the operator `has`; undefined for one that is none. */
  list?(name: string): readonly unknown[] | undefined;
}
