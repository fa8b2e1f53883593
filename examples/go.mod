module github.com/lime-sdk/lime-go/examples

go 1.24

require github.com/lime-sdk/lime-go v0.0.0

replace github.com/lime-sdk/lime-go => ../bindings-go
