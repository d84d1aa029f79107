/** Whatever has variables of the dialect: a call, or a request that is still being matched. Undefined is a variable without a value. */
export interface VariableSource {
  variable(name: string): string | number | undefined;
}
