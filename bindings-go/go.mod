module github.com/lime-sdk/lime-go

go 1.24
