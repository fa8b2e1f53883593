//! `#[guarded]`, in front of `#[pymethods]` or `#[pyfunction]`: what panics in there raises an error of the library. By
//! itself pyo3 makes a `PanicException` of it, which `except Exception` does not catch and whose text may be a secret.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Error, ImplItem, Item, Path, ReturnType, Type, parse_quote};

/// Runs the body of each function in `crate::fault::guard`, and has it return a `PyResult` if it does not do so.
///
/// `#[guarded(sesame)]` raises an error of Sesame, whose classes are others.
#[proc_macro_attribute]
pub fn guarded(family: TokenStream, item: TokenStream) -> TokenStream {
    let raise: Path = match family.to_string().as_str() {
        "" => parse_quote!(crate::error::raise),
        "sesame" => parse_quote!(crate::error::raise_sesame),
        _ => return refused("an error of LIME, or (sesame)"),
    };
    let Ok(mut item) = syn::parse::<Item>(item) else { return refused("a function, or an impl") };
    match &mut item {
        Item::Fn(function) => guard(&mut function.sig.output, &mut function.block, &raise),
        Item::Impl(methods) => {
            for method in &mut methods.items {
                if let ImplItem::Fn(method) = method {
                    guard(&mut method.sig.output, &mut method.block, &raise);
                }
            }
        }
        _ => return refused("a function, or an impl"),
    }
    quote!(#item).into()
}

fn refused(wanted: &str) -> TokenStream {
    Error::new(proc_macro2::Span::call_site(), wanted).into_compile_error().into()
}

fn guard(output: &mut ReturnType, body: &mut syn::Block, raise: &Path) {
    let returned: Type = match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, returned) => (**returned).clone(),
    };
    if is_result(&returned) {
        *body = parse_quote!({ crate::fault::guard(#raise, || -> #returned { #body }) });
    } else {
        *output = parse_quote!(-> ::pyo3::PyResult<#returned>);
        *body = parse_quote!({ crate::fault::guard(#raise, || Ok((|| -> #returned { #body })())) });
    }
}

fn is_result(returned: &Type) -> bool {
    let Type::Path(path) = returned else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == "PyResult")
}
