// Package config reads what an operator configures: [Load] the environment of `sallyport serve`, [ParseResources] the
// resources file. Both validate everything at once and report all faults together. Only the command imports it; the
// rest of the program gets arguments.
package config
