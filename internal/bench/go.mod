module github.com/sallyport/sallyport/internal/bench

go 1.26.0

require (
	github.com/elazarl/goproxy v1.9.2
	golang.org/x/sys v0.50.0
)

require (
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
